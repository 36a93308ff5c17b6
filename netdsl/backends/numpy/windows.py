"""Products with shared kernels in NumPy: patches of some samples at a time, then one product.

Maps are viewed as (samples, rows, columns, channels); a border of zeros makes every window whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from netdsl.backends.numpy.support import Scratch
from netdsl.ir.windows import Windows

Floats = NDArray[Any]

# Elements of the patches of one product: they and the product stay in the last-level cache.
PATCHES = 262144


class WindowProducts:
    """The three products of one projection's windows."""

    def __init__(self, windows: Windows, scratch: Scratch) -> None:
        self.windows, self.scratch = windows, scratch
        w = windows
        self._patch = (w.rows, w.columns, *w.kernel, w.channels)
        self._map = (w.rows, w.columns, w.kernels)

    def propagate(
        self, target: Floats, source: Floats, weight: Floats, scale: float, keep: float
    ) -> None:
        """`target (+)= scale * ` the windows of `source` times the kernel."""
        w = self.windows
        if keep == 0:
            target.fill(0)
        if w.still:
            target.reshape(-1, w.positions, w.kernels)[...] += (scale * (source @ weight))[:, None]
            return
        for first, last in self._parts(len(source)):
            out = target[first:last].reshape(-1, *self._map)
            padded = self._padded(source[first:last])
            if w.depthwise:
                for tap, view in enumerate(self._taps(padded)):
                    out += view * (scale * weight[tap])
                continue
            patches = self._patches(padded)
            product = self.scratch("product", len(patches), w.kernels)
            np.matmul(patches, weight, out=product)
            if scale != 1:
                product *= scale
            out += product.reshape(out.shape)

    def propagate_back(
        self, target: Floats, source: Floats, weight: Floats, scale: float, keep: float
    ) -> None:
        """The same through the transpose: from the positions to what their windows see."""
        w = self.windows
        if keep == 0:
            target.fill(0)
        if w.still:
            total = source.reshape(-1, w.positions, w.kernels).sum(1)
            target += scale * (total @ weight.T)
            return
        for first, last in self._parts(len(source)):
            sent = source[first:last].reshape(-1, *self._map)
            padded = self._zeros(last - first)
            taps = self._taps(padded)
            if w.depthwise:
                for tap, view in enumerate(taps):
                    view += sent * (scale * weight[tap])
            else:
                patches = self.scratch("patches", last - first, *self._patch)
                flat = patches.reshape(-1, w.shape[0])
                np.matmul(sent.reshape(-1, w.kernels), weight.T, out=flat)
                if scale != 1:
                    flat *= scale
                parts = patches.reshape(*patches.shape[:3], -1, w.channels)
                for tap, view in enumerate(taps):
                    view += parts[:, :, :, tap]
            into = target[first:last].reshape(-1, w.height, w.width, w.channels)
            into += self._inside(padded)

    def sum(self, target: Floats, pre: Floats, post: Floats) -> None:
        """`target[t, k]` = the sum over samples and positions of what tap t sees times `post`."""
        w = self.windows
        if w.still:
            np.matmul(pre.T, post.reshape(-1, w.positions, w.kernels).sum(1), out=target)
            return
        target.fill(0)
        for first, last in self._parts(len(pre)):
            sent = post[first:last].reshape(-1, *self._map)
            padded = self._padded(pre[first:last])
            if w.depthwise:
                for tap, view in enumerate(self._taps(padded)):
                    target[tap] += np.einsum("ryxk,ryxk->k", view, sent)
            else:
                target += self._patches(padded).T @ sent.reshape(-1, w.kernels)

    # -- views -------------------------------------------------------------------------------------

    def _parts(self, rows: int) -> Iterator[tuple[int, int]]:
        """Ranges of samples whose patches fit into the space for them."""
        one = int(np.prod(self._patch))
        count = max(1, PATCHES // one)
        return ((first, min(first + count, rows)) for first in range(0, rows, count))

    def _zeros(self, rows: int) -> Floats:
        w = self.windows
        (up, left) = w.pad
        padded = self.scratch("padded", rows, w.height + 2 * up, w.width + 2 * left, w.channels)
        padded.fill(0)
        return padded

    def _inside(self, padded: Floats) -> Floats:
        w = self.windows
        (up, left) = w.pad
        return padded[:, up : up + w.height, left : left + w.width]

    def _padded(self, source: Floats) -> Floats:
        w = self.windows
        whole = source.reshape(-1, w.height, w.width, w.channels)
        if w.pad == (0, 0):
            return whole
        padded = self._zeros(len(source))
        self._inside(padded)[...] = whole
        return padded

    def _taps(self, padded: Floats) -> Iterator[Floats]:
        """For each place in the window what all positions see there."""
        w = self.windows
        (down, right), (high, wide) = w.stride, w.kernel
        for u in range(high):
            for v in range(wide):
                yield padded[
                    :,
                    u : u + down * (w.rows - 1) + 1 : down,
                    v : v + right * (w.columns - 1) + 1 : right,
                ]

    def _patches(self, padded: Floats) -> Floats:
        """(samples * positions, taps): the windows, copied."""
        w = self.windows
        views = sliding_window_view(padded, w.kernel, axis=(1, 2))
        views = views[:, :: w.stride[0], :: w.stride[1]][:, : w.rows, : w.columns]
        patches = self.scratch("patches", len(padded), *self._patch)
        np.copyto(patches, views.transpose(0, 1, 2, 4, 5, 3))
        return patches.reshape(-1, w.shape[0])
