"""Which synapses of a projection exist: drawn once at build, in parts, never as a whole matrix.

The draw of a synapse is that of its flat element in the (pre, post) matrix, so the same synapses
exist however a backend stores them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.ir.expr import Const
from netdsl.ir.network import Draw
from netdsl.ir.program import Edges, Program
from netdsl.runtime.random import PhiloxStream

Array = NDArray[np.float64]
Indices = NDArray[np.int32]
PREFIX = "connect:"
# Elements of the matrix that are drawn at once.
_CHUNK = 1 << 20


@dataclass(frozen=True, eq=False)
class Connections:
    """The existing synapses of a projection, by presynaptic neuron, then postsynaptic one.

    `shape` is (m, n); `pre` and `post` are (edges,).
    """

    shape: tuple[int, int]
    pre: Indices
    post: Indices

    @property
    def count(self) -> int:
        """Number of synapses."""
        return len(self.pre)

    @cached_property
    def flat(self) -> NDArray[np.int64]:
        """(edges,): elements of the row-major matrix."""
        return self.pre.astype(np.int64) * self.shape[1] + self.post

    @cached_property
    def start(self) -> NDArray[np.int64]:
        """(m + 1,): where the synapses of each presynaptic neuron begin."""
        return _starts(self.pre, self.shape[0])

    @cached_property
    def in_start(self) -> NDArray[np.int64]:
        """(n + 1,): where those of each postsynaptic neuron begin in `in_edge`."""
        return _starts(self.post, self.shape[1])

    @cached_property
    def in_edge(self) -> Indices:
        """(edges,): synapses by postsynaptic neuron, then presynaptic one."""
        return np.argsort(self.post, kind="stable").astype(np.int32)

    def matrix(self, values: NDArray[Any] | float = 1.0) -> NDArray[Any]:
        """(m, n): the values of the synapses, 0 where there is none."""
        given = np.asarray(values)
        whole = np.zeros(self.shape, given.dtype)
        whole.reshape(-1)[self.flat] = given
        return whole

    def values(self, matrix: NDArray[Any]) -> NDArray[Any]:
        """(edges,): the elements of a (m, n) matrix where there are synapses."""
        return np.asarray(matrix.reshape(-1)[self.flat])


def _starts(neurons: Indices, size: int) -> NDArray[np.int64]:
    return np.concatenate(([0], np.cumsum(np.bincount(neurons, minlength=size)))).astype(np.int64)


def structure_bytes(count: int, shape: tuple[int, int]) -> int:
    """Bytes that say where `count` synapses lead: both ends, and where each neuron's begin."""
    return 2 * 4 * count + 8 * (shape[0] + 1)


def connections_of(program: Program, seed: int) -> dict[str, Connections]:
    """The synapses of every projection that stores only those that exist."""
    return {
        name: drawn(layout.mask, program.shapes[name], seed)
        for name, layout in program.layouts.items()
        if isinstance(layout, Edges)
    }


def synapses_of(program: Program, projection: str, seed: int) -> Connections | None:
    """The synapses of a projection that are drawn, however they are stored; None if none are."""
    layout = program.layouts.get(projection)
    if isinstance(layout, Edges):
        return drawn(layout.mask, program.shapes[projection], seed)
    mask = program.buffers.get(f"{projection}.mask")
    init = mask.init if mask is not None else None
    if not isinstance(init, Draw) or init.distribution == f"{PREFIX}dense":
        return None
    return drawn(init, program.shapes[projection], seed)


def drawn(draw: Draw, shape: tuple[int, int], seed: int) -> Connections:
    """The synapses that a connectivity draw makes in a (pre, post) matrix of `shape`.

    Its distribution is `connect:` and dense | sparse:bernoulli | sparse:exact |
    sparse:pairs_with_replacement | fixed_in | fixed_out; its arguments are the probability or
    number, whether a unit may reach itself, and by how much a unit's number as a receiver exceeds
    its number as a sender.
    """
    args = tuple(float(arg.value) for arg in draw.args if isinstance(arg, Const))
    return _drawn(draw.distribution.removeprefix(PREFIX), args, draw.stream, shape, seed)


@lru_cache(maxsize=16)
def _drawn(
    kind: str, args: tuple[float, ...], path: str, shape: tuple[int, int], seed: int
) -> Connections:
    stream = PhiloxStream(seed, path)
    shift = int(args[2]) if len(args) > 2 else 0
    elements = _DRAWS[kind](_Matrix(shape, None if args[1] else shift), args[0], stream)
    pre, post = np.divmod(elements, max(1, shape[1]))
    return Connections(shape, pre.astype(np.int32), post.astype(np.int32))


@dataclass(frozen=True)
class _Matrix:
    """Where synapses may be: with a `shift`, not from neuron i to neuron i + shift."""

    shape: tuple[int, int]
    shift: int | None

    @property
    def size(self) -> int:
        return self.shape[0] * self.shape[1]

    def forbidden(self, first: int, last: int) -> NDArray[np.int64]:
        """Flat elements of rows `first` to `last` - 1 that may not be, from the first row on."""
        if self.shift is None:
            return np.empty(0, np.int64)
        m, n = self.shape
        rows = np.arange(max(first, -self.shift), min(last, m, n - self.shift))
        return (rows - first) * n + rows + self.shift

    def allowed(self) -> int:
        return self.size - len(self.forbidden(0, self.shape[0]))

    def chances(self, stream: PhiloxStream, least: int = 1) -> Iterator[tuple[int, Array]]:
        """Parts of at least `least` rows, by first row: uniform draws, 2 where nothing may be."""
        m, n = self.shape
        # A multiple of four rows begins at a whole block of the stream.
        height = -(-max(least, _CHUNK // max(1, n)) // 4) * 4
        for first in range(0, m, height):
            last = min(m, first + height)
            chance = stream.part(first * n, (last - first) * n)
            chance[self.forbidden(first, last)] = 2.0
            yield first, chance.reshape(last - first, n)


def _dense(matrix: _Matrix, amount: float, stream: PhiloxStream) -> NDArray[np.int64]:
    return np.delete(np.arange(matrix.size), matrix.forbidden(0, matrix.shape[0]))


def _bernoulli(matrix: _Matrix, amount: float, stream: PhiloxStream) -> NDArray[np.int64]:
    found = [np.empty(0, np.int64)]
    for first, chance in matrix.chances(stream):
        found.append(np.flatnonzero(chance < amount) + first * matrix.shape[1])
    return np.concatenate(found)


def _exact(matrix: _Matrix, amount: float, stream: PhiloxStream) -> NDArray[np.int64]:
    count = round(amount * matrix.allowed())
    best, where = np.empty(0), np.empty(0, np.int64)
    for first, chance in matrix.chances(stream):
        flat = np.arange(chance.size) + first * matrix.shape[1]
        best, where = np.concatenate((best, chance.reshape(-1))), np.concatenate((where, flat))
        order = np.argsort(best, kind="stable")[:count]  # the first of equal draws is taken
        best, where = best[order], where[order]
    return np.sort(where[best < 2.0])


def _fixed_in(matrix: _Matrix, amount: float, stream: PhiloxStream) -> NDArray[np.int64]:
    n, count = matrix.shape[1], int(amount)
    best, where = np.empty((0, n)), np.empty((0, n), np.int64)
    for first, chance in matrix.chances(stream, count):
        rows = np.broadcast_to(np.arange(first, first + len(chance))[:, None], chance.shape)
        best, where = np.concatenate((best, chance)), np.concatenate((where, rows))
        order = np.argsort(best, axis=0, kind="stable")[:count]
        best = np.take_along_axis(best, order, axis=0)
        where = np.take_along_axis(where, order, axis=0)
    return np.sort((where * n + np.arange(n))[best < 2.0])


def _fixed_out(matrix: _Matrix, amount: float, stream: PhiloxStream) -> NDArray[np.int64]:
    found = [np.empty(0, np.int64)]
    for first, chance in matrix.chances(stream):
        order = np.argsort(chance, axis=1, kind="stable")[:, : int(amount)]
        rows = (first + np.arange(len(chance)))[:, None] * matrix.shape[1]
        found.append((rows + order)[np.take_along_axis(chance, order, axis=1) < 2.0])
    return np.sort(np.concatenate(found))


def _pairs(matrix: _Matrix, amount: float, stream: PhiloxStream) -> NDArray[np.int64]:
    count = round(amount * matrix.shape[0] * matrix.shape[1])
    chosen = np.unique(stream.integers(matrix.size, count)) if count else np.empty(0, np.int64)
    return np.setdiff1d(chosen, matrix.forbidden(0, matrix.shape[0]), assume_unique=True)


_DRAWS = {
    "dense": _dense,
    "sparse:bernoulli": _bernoulli,
    "sparse:exact": _exact,
    "sparse:pairs_with_replacement": _pairs,
    "fixed_in": _fixed_in,
    "fixed_out": _fixed_out,
}
