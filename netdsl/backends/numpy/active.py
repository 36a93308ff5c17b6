"""Products with sparse 0/1 arrays: rows of the other factor are gathered by spike.

A spike array of some percent density costs a multiple less this way than as a dense product: one
addition of a row takes what BLAS needs for some ten multiplications of it by zero.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.backends.numpy.dense import Floats, outer, propagate

# Share of nonzeros up to which gathering is used. Measured on one core with AVX-512: both ways
# take the same time at about 0.11, finding the nonzeros included.
DENSITY = 0.06
# Multiplications of the dense product below which it is not worth looking for nonzeros.
LEAST_WORK = 1 << 20

Indices = NDArray[np.int32]


@cache
def _gather() -> Any:
    """Y += A @ X for A in compressed rows, or None where SciPy does not offer it."""
    try:
        from scipy.sparse import _sparsetools
    except ImportError:
        return None
    return getattr(_sparsetools, "csr_matvecs", None)


class Active:
    """Where a (rows, n) array of 0 and 1 is 1, found once after each change of the array.

    `whole`: products with the zeros are wanted too, so nothing is gathered.
    """

    def __init__(self) -> None:
        self.whole = False
        self.array: Floats = np.zeros((0, 0))

    def bind(self, array: Floats) -> None:
        """Look at `array` from now on."""
        self.array = array
        self._mask = np.empty(array.shape, bool)
        self._ones: Floats = np.empty(0, array.dtype)
        self.changed()

    def look(self, array: Floats) -> None:
        """Look at another array of the same shape."""
        self.array = array
        self.changed()

    def changed(self) -> None:
        """Forget what was found."""
        self._count: int | None = None
        self._by_row: tuple[Indices, Indices] | None = None
        self._by_neuron: tuple[Indices, Indices] | None = None

    def sparse(self, width: int) -> bool:
        """Whether a product with `width` columns should gather."""
        if self.whole or self.array.size * width < LEAST_WORK:
            return False
        return self.count() <= DENSITY * self.array.size and _gather() is not None

    def count(self) -> int:
        """How many elements are 1."""
        if self._count is None:
            np.not_equal(self.array, 0.0, out=self._mask)
            self._count = int(np.count_nonzero(self._mask))
        return self._count

    def by_row(self) -> tuple[Indices, Indices]:
        """Compressed rows: where each row's entries start, and their neurons."""
        if self._by_row is None:
            self.count()
            rows, n = self.array.shape
            flat = np.flatnonzero(self._mask)
            starts = np.searchsorted(flat, np.arange(0, (rows + 1) * n, n))
            self._by_row = starts.astype(np.int32), (flat % n).astype(np.int32)
        return self._by_row

    def by_neuron(self) -> tuple[Indices, Indices]:
        """Compressed columns: where each neuron's entries start, and their rows."""
        if self._by_neuron is None:
            rows, n = self.array.shape
            starts, neurons = self.by_row()
            order = np.argsort(neurons.astype(np.uint16) if n < 65536 else neurons, kind="stable")
            row_of = np.repeat(np.arange(rows, dtype=np.int32), np.diff(starts))
            ends = np.cumsum(np.bincount(neurons, minlength=n))
            first = np.concatenate(([0], ends)).astype(np.int32)
            self._by_neuron = first, row_of[order]
        return self._by_neuron

    def filled(self, count: int, value: float) -> Floats:
        """`count` entries of `value`."""
        if self._ones.size < count:
            self._ones = np.empty(count, self.array.dtype)
        self._ones[:count] = value
        return self._ones[:count]


def propagate_active(
    target: Floats, source: Active, weight: Floats, scale: float, keep: float
) -> None:
    """As `propagate`, gathering the rows of `weight` that spikes select."""
    width = weight.shape[1]
    if not (source.sparse(width) and weight.flags.c_contiguous and target.flags.c_contiguous):
        propagate(target, source.array, weight, scale, keep)
        return
    if keep != 1.0:
        np.multiply(target, keep, out=target) if keep else target.fill(0.0)
    starts, neurons = source.by_row()
    rows, m = source.array.shape
    values = source.filled(neurons.size, scale)
    _gather()(rows, m, width, starts, neurons, values, weight.reshape(-1), target.reshape(-1))


def outer_active(
    pre: Active, first: int, last: int, post: Floats, out: Floats, part: Floats
) -> None:
    """`out[i, j] = sum_r pre[r, first + i] post[r, j]`.

    `part` is the transpose of `pre[:, first:last]`, for the dense product.
    """
    width = post.shape[1]
    if not (pre.sparse(width) and post.flags.c_contiguous):
        outer(part, post, out)
        return
    out.fill(0.0)
    starts, row_of = pre.by_neuron()
    values = pre.filled(row_of.size, 1.0)
    _gather()(
        last - first,
        len(post),
        width,
        starts[first : last + 1],
        row_of,
        values,
        post.reshape(-1),
        out.reshape(-1),
    )
