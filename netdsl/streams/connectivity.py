"""Which synapses of a projection exist: drawn once at build, on the host, for every backend."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.diagnostics.waiting import slow
from netdsl.ir.expr import Const
from netdsl.ir.network import Draw
from netdsl.ir.program import Edges, Program
from netdsl.streams.draws import PhiloxStream
from netdsl.streams.wiring import DRAWS, Matrix

Indices = NDArray[np.int32]
PREFIX = "connect:"
GIVEN = f"{PREFIX}array"  # not drawn: a matrix of a file


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

    @property
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
        """(…, m, n): the values of the synapses, 0 where there is none."""
        given = np.asarray(values)
        whole = np.zeros((*given.shape[:-1], self.shape[0] * self.shape[1]), given.dtype)
        whole[..., self.flat] = given
        return whole.reshape(*given.shape[:-1], *self.shape)

    def values(self, matrix: NDArray[Any]) -> NDArray[Any]:
        """(…, edges): the elements of a (…, m, n) matrix where there are synapses."""
        return np.asarray(matrix.reshape(*matrix.shape[:-2], -1)[..., self.flat])


def _starts(neurons: Indices, size: int) -> NDArray[np.int64]:
    return np.concatenate(([0], np.cumsum(np.bincount(neurons, minlength=size)))).astype(np.int64)


def structure_bytes(count: int, shape: tuple[int, int]) -> int:
    """Bytes that say where `count` synapses lead: both ends, and where each neuron's begin."""
    return 2 * 4 * count + 8 * (shape[0] + 1)


def expected_count(draw: Draw, shape: tuple[int, int]) -> float:
    """About how many synapses a connectivity draw makes."""
    m, n = shape
    amount = float(draw.args[0].value) if isinstance(draw.args[0], Const) else 0.0
    each = {"fixed_in": n * amount, "fixed_out": m * amount, "dense": float(m * n)}
    return each.get(draw.distribution.removeprefix(PREFIX), amount * m * n)


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
    mask = program.buffers.get(program.find(f"{projection}.mask") or "")
    init = mask.init if mask is not None else None
    if not isinstance(init, Draw) or init.distribution == f"{PREFIX}dense":
        return None
    if init.distribution == GIVEN:
        return taken(init, program.shapes[projection], program.given[init.stream])
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


def taken(draw: Draw, shape: tuple[int, int], given: NDArray[Any]) -> Connections:
    """The synapses where an array (pre, post) is not 0."""
    args = tuple(float(arg.value) for arg in draw.args if isinstance(arg, Const))
    matrix = Matrix(shape, None if args[1] else int(args[2]))
    elements = matrix.without_loops(np.flatnonzero(given))
    pre, post = np.divmod(elements, max(1, shape[1]))
    return Connections(shape, pre.astype(np.int32), post.astype(np.int32))


@lru_cache(maxsize=16)
def _drawn(
    kind: str, args: tuple[float, ...], path: str, shape: tuple[int, int], seed: int
) -> Connections:
    shift = int(args[2]) if len(args) > 2 else 0
    matrix = Matrix(shape, None if args[1] else shift)
    with slow(f"drawing the synapses of `{path.removesuffix('.mask')}`"):
        elements = DRAWS[kind](matrix, args[0], PhiloxStream(seed, path))
        pre, post = np.divmod(elements, max(1, shape[1]))
        return Connections(shape, pre.astype(np.int32), post.astype(np.int32))
