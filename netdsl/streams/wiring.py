"""How the synapses of a projection are drawn: as many numbers as there are synapses.

All of a draw's numbers come one after the other from the fractions of one stream (`random.py`), so
that how many are made at once changes nothing. A synapse is its flat element of the (pre, post)
matrix, in ascending order.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from netdsl.streams.draws import PhiloxStream

Elements = NDArray[np.int64]
# Gaps between synapses that are drawn at once.
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Matrix:
    """Where synapses may be: with a `shift`, not from neuron i to neuron i + shift."""

    shape: tuple[int, int]
    shift: int | None

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.shape[0] * self.shape[1]

    def loops(self) -> tuple[Elements, Elements]:
        """Both ends, (k,) each, of the synapses that would lead from a unit to itself."""
        if self.shift is None:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        pre = np.arange(max(0, -self.shift), min(self.shape[0], self.shape[1] - self.shift))
        return pre, pre + self.shift

    def without_loops(self, elements: Elements) -> Elements:
        """Those of the elements that may be."""
        if self.shift is None:
            return elements
        pre, post = np.divmod(elements, max(1, self.shape[1]))
        return np.asarray(elements[post - pre != self.shift])


def _dense(matrix: Matrix, amount: float, stream: PhiloxStream) -> Elements:
    return matrix.without_loops(np.arange(matrix.size))


def _bernoulli(matrix: Matrix, amount: float, stream: PhiloxStream) -> Elements:
    """Each with probability `amount`: the gaps between synapses are geometric."""
    if amount <= 0:
        return np.empty(0, np.int64)
    scale = math.log1p(-amount) if amount < 1 else -math.inf
    found, last, drawn = [np.empty(0, np.int64)], -1, 0
    while last < matrix.size:
        count = min(_CHUNK, int((matrix.size - last) * amount) + 64)
        with np.errstate(over="ignore"):  # beyond the last element all the same
            gaps = np.floor(np.log1p(-stream.fractions(drawn, count)) / scale)
        steps = np.minimum(gaps, matrix.size).astype(np.int64) + 1
        found.append(last + np.cumsum(steps))
        last, drawn = int(found[-1][-1]), drawn + count
    found[-1] = found[-1][found[-1] < matrix.size]
    return matrix.without_loops(np.concatenate(found))


def _exact(matrix: Matrix, amount: float, stream: PhiloxStream) -> Elements:
    pre, post = matrix.loops()
    count = round(amount * (matrix.size - len(pre)))
    return _choose(1, matrix.size, count, pre * matrix.shape[1] + post, stream)


def _fixed_in(matrix: Matrix, amount: float, stream: PhiloxStream) -> Elements:
    m, n = matrix.shape
    pre, post = matrix.loops()
    post, pre = np.divmod(_choose(n, m, int(amount), post * m + pre, stream), max(1, m))
    return np.sort(pre * n + post)


def _fixed_out(matrix: Matrix, amount: float, stream: PhiloxStream) -> Elements:
    m, n = matrix.shape
    pre, post = matrix.loops()
    return _choose(m, n, int(amount), pre * n + post, stream)


def _pairs(matrix: Matrix, amount: float, stream: PhiloxStream) -> Elements:
    count = round(amount * matrix.size)
    return matrix.without_loops(_ascending(_below(matrix.size, stream, 0, count)))


def _below(size: int, stream: PhiloxStream, first: int, count: int) -> Elements:
    """Integers below `size` from the fractions `first` to `first + count - 1`."""
    return (stream.fractions(first, count) * size).astype(np.int64)


def _choose(units: int, size: int, count: int, barred: Elements, stream: PhiloxStream) -> Elements:
    """For each unit u, `count` different ones of the numbers u * size to (u + 1) * size - 1, but
    none of `barred` (ascending): every choice is as likely as every other. All ascending.
    """
    free = size - _by_unit(barred, units, size)
    wanted = np.minimum(count, free)
    if 2 * count <= size:
        return _distinct(size, wanted, barred, stream)[0]
    _, gone = _distinct(size, free - wanted, barred, stream)
    left = np.ones(units * size, bool)
    left[gone] = False
    return np.flatnonzero(left)


def _distinct(
    size: int, wanted: Elements, barred: Elements, stream: PhiloxStream
) -> tuple[Elements, Elements]:
    """`wanted` (units,) different numbers of each unit as in `_choose`, without and with `barred`.

    Numbers are drawn one by one, and drawn again where a unit has them already or must not.
    """
    held, drawn = barred, 0
    missing = wanted
    while total := int(missing.sum()):
        start = np.repeat(np.arange(len(wanted)) * size, missing)
        new = _ascending(start + _below(size, stream, drawn, total))
        drawn += total
        at = np.searchsorted(held, new)
        if len(held):
            fresh = held[np.minimum(at, len(held) - 1)] != new
            new, at = new[fresh], at[fresh]
        held = np.insert(held, at, new)
        missing = missing - _by_unit(new, len(wanted), size)
    return _without(held, barred), held


def _ascending(elements: Elements) -> Elements:
    """In order, each once. (`np.unique` takes twenty times as long.)"""
    ordered = np.sort(elements)
    return ordered[np.insert(ordered[1:] != ordered[:-1], 0, True)] if len(ordered) else ordered


def _without(held: Elements, barred: Elements) -> Elements:
    return np.delete(held, np.searchsorted(held, barred)) if len(barred) else held


def _by_unit(elements: Elements, units: int, size: int) -> Elements:
    """(units,): how many of the elements each unit has."""
    return np.bincount(elements // max(1, size), minlength=units)


DRAWS: dict[str, Callable[[Matrix, float, PhiloxStream], Elements]] = {
    "dense": _dense,
    "sparse:bernoulli": _bernoulli,
    "sparse:exact": _exact,
    "sparse:pairs_with_replacement": _pairs,
    "fixed_in": _fixed_in,
    "fixed_out": _fixed_out,
}
