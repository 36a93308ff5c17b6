"""What generated NumPy modules call besides products: tiling, scratch arrays and draws."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.streams.counts import poisson_counts
from netdsl.streams.draws import PhiloxStream
from netdsl.streams.waits import exponentials, gammas, lognormals

Floats = NDArray[Any]

# Elements of one tile: with some eight arrays in use a tile of float32 stays in the L2 cache of a
# core, and the fixed cost of a NumPy call (about 0.5 µs) is small beside the work.
TILE = 32768
# Presynaptic rows of one product over the batch: fewer would waste BLAS's packing of the other
# factor.
BLOCK_ROWS = 192


def spans(start: int, stop: int, width: int) -> Iterator[tuple[int, int]]:
    """Ranges of rows that cover `start` to `stop`, about `TILE` elements of `width` columns each.

    All have about the same length; there is at least one, which may be empty.
    """
    count = max(1, -(-(stop - start) * width // TILE))
    count = min(count, max(1, stop - start))
    edges = [start + (stop - start) * k // count for k in range(count + 1)]
    return pairwise(edges)


def blocks(rows: int, width: int) -> Iterator[tuple[int, int]]:
    """Ranges of presynaptic rows for one product each: several tiles where these are low."""
    height = max(BLOCK_ROWS, TILE // max(1, width))
    count = max(1, round(rows / height))
    edges = [rows * k // count for k in range(count + 1)]
    return pairwise(edges)


def reduce_groups(target: Floats, source: Floats, kind: str, length: int, inner: int) -> None:
    """Reduce (R, n) over groups of neurons and give every neuron its group's number.

    Neurons are (…, length, inner); `kind` is sum, mean, max, min or any.
    """
    shape = (-1, length, inner)
    value = getattr(np, kind)(source.reshape(shape), axis=1, keepdims=True)
    target.reshape(shape)[...] = value


def shift(target: Floats, source: Floats) -> None:
    """The rows of `source` become the newest, last slots of `target`; older ones move down."""
    fresh = min(len(source), len(target))
    kept = len(target) - fresh
    target[:kept] = target[fresh:].copy()
    target[kept:] = source[len(source) - fresh :]


class Scratch:
    """Work arrays by name, grown to the largest request; masks hold truth values.

    Shapes are C-contiguous parts of one flat array a name. `nbytes` is what is allocated.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.dtype = dtype
        self._flat: dict[str, Floats] = {}

    def __call__(self, name: str, *shape: int) -> Floats:
        """The array `name` in this shape; its contents are undefined."""
        size = 1
        for length in shape:
            size *= length
        flat = self._flat.get(name)
        if flat is None or flat.size < size:
            dtype = np.dtype(bool) if "mask" in name else self.dtype
            flat = self._flat[name] = np.empty(size, dtype)
        return flat[:size].reshape(shape)

    @property
    def nbytes(self) -> int:
        """Bytes of all work arrays."""
        return sum(flat.nbytes for flat in self._flat.values())


def draw_bernoulli(
    stream: PhiloxStream, keys: NDArray[np.uint64], step: int, p: Floats | float, out: Floats
) -> None:
    """1 with probability `p` ((R, n), (R, 1), (n,) or a number), else 0, into `out` (R, n)."""
    if np.shape(p)[-1:] != out.shape[-1:]:
        p = np.broadcast_to(np.asarray(p, out.dtype), out.shape)
    stream.bernoulli(np.asarray(p), keys, step, out=out)


def draw_poisson(
    stream: PhiloxStream, keys: NDArray[np.uint64], step: int, mean: Floats | float, out: Floats
) -> None:
    """Counts with `mean` ((R, n), (R, 1), (n,) or a number), into `out` (R, n)."""
    unit = stream.uniform(keys, step, out.shape[1], dtype=np.float64)
    np.copyto(out, poisson_counts(unit, mean), casting="same_kind")


def draw_exponential(
    stream: PhiloxStream, keys: NDArray[np.uint64], step: int, mean: Floats | float, out: Floats
) -> None:
    """Waiting times with `mean`, computed in float64 and rounded once."""
    unit = stream.uniform(keys, step, out.shape[1], dtype=np.float64)
    np.copyto(out, exponentials(unit, mean), casting="same_kind")


def draw_lognormal(
    stream: PhiloxStream,
    keys: NDArray[np.uint64],
    step: int,
    mean: Floats | float,
    std: Floats | float,
    out: Floats,
) -> None:
    """Numbers whose logarithm is normal, computed in float64 and rounded once."""
    normal = stream.normal(keys, step, out.shape[1], dtype=np.float64)
    np.copyto(out, lognormals(normal, mean, std), casting="same_kind")


def draw_gamma(
    stream: PhiloxStream,
    keys: NDArray[np.uint64],
    step: int,
    shape: Floats | float,
    scale: Floats | float,
    out: Floats,
) -> None:
    """Gamma draws, computed in float64 and rounded once."""
    unit = stream.uniform(keys, step, out.shape[1], dtype=np.float64)
    np.copyto(out, gammas(unit, shape, scale), casting="same_kind")


def draw_uniform(
    stream: PhiloxStream,
    keys: NDArray[np.uint64],
    step: int,
    low: Floats | float,
    high: Floats | float,
    out: Floats,
) -> None:
    """Uniform between `low` and `high`, computed in float64 and rounded once."""
    unit = stream.uniform(keys, step, out.shape[1], dtype=np.float64)
    np.copyto(out, low + np.subtract(high, low, dtype=np.float64) * unit, casting="same_kind")


def draw_normal(
    stream: PhiloxStream,
    keys: NDArray[np.uint64],
    step: int,
    mean: Floats | float,
    std: Floats | float,
    out: Floats,
) -> None:
    """Normal with `mean` and standard deviation `std`, computed in float64 and rounded once."""
    unit = stream.normal(keys, step, out.shape[1], dtype=np.float64)
    np.copyto(out, mean + std * unit, casting="same_kind")


def draw_integer(
    stream: PhiloxStream,
    keys: NDArray[np.uint64],
    step: int,
    low: Floats | float,
    high: Floats | float,
    out: Floats,
) -> None:
    """Integers from `low` to `high`, both included."""
    words = stream.bits(keys, step, out.shape[1]).astype(np.uint64)
    count = np.asarray(np.subtract(high, low) + 1, np.uint64)
    drawn = (words * count) >> np.uint64(32)
    np.copyto(out, low + drawn.astype(np.float64), casting="same_kind")
