"""What a CUDA program launches: kernels with their grids, and matrix products.

An `Action` may depend on choices that are made between phases: whether the nonzeros of some windows
are listed and gathered, or the dense form runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from netdsl.codegen.plan.layout import Window
from netdsl.diagnostics.span import Span

THREADS = 256
ROW_THREADS = 512  # of a block that reduces over a row's neurons
GRID_LIMIT = 65535  # blocks along y; kernels stride over what is beyond
GRID_LIMIT_X = 2**31 - 1
LISTED_COLUMNS = 32
STRIDE_LIMIT = 2048  # blocks of a kernel whose threads stride over all elements
ALL = STRIDE_LIMIT * 4 * THREADS  # elements of a grid for rows times rows, as many as there be


@dataclass(frozen=True)
class Extent:
    """Blocks along one axis of a grid: enough for `fixed + per_row * rows` elements."""

    fixed: int = 1
    per_row: int = 0
    per_block: int = 1
    limit: int = GRID_LIMIT

    def blocks(self, rows: int) -> int:
        """Number of blocks with `rows` samples, at least 1."""
        elements = self.fixed + self.per_row * rows
        return max(1, min(self.limit, -(-elements // self.per_block)))


@dataclass(frozen=True)
class Launch:
    """One kernel launch. `fixed_threads`: the kernel needs exactly `threads` a block."""

    kernel: str
    index: int
    threads: int = 1
    x: Extent = Extent()
    y: Extent = Extent()
    fixed_threads: bool = False


@dataclass(frozen=True)
class Gemm:
    """`target = scales[alpha] * source . weight + scales[beta] * target`, as `Propagate` says.

    `weight` is (m, n) row-major; offsets and strides count elements of the row-major arrays.
    """

    weight: str
    m: int
    n: int
    source: str
    source_offset: int
    source_stride: int
    target: str
    target_offset: int
    target_stride: int
    transposed: bool
    alpha: int
    beta: int


@dataclass(frozen=True)
class Sparse:
    """True while the share of nonzeros of every window is below its limit: decided between phases
    from what was measured."""

    limits: tuple[tuple[Window, float], ...]


Clause = tuple[tuple[Sparse, bool], ...]  # all of them must hold


@dataclass(frozen=True)
class Listing:
    """The lists of a window's nonzeros by row, or by column."""

    window: Window
    by_column: bool = False


class Beside(Enum):
    """Kinds of actions of which several in a row are independent of each other."""

    DERIVED = "lists and sums"
    LEARNING = "learning passes"


@dataclass(frozen=True)
class Action:
    """Something to launch if one of the clauses `when` holds; () is always. `lists`: what it reads
    that must have been listed before. `beside`: independent of its neighbours of the same kind."""

    do: Launch | Gemm
    when: tuple[Clause, ...] = ()
    lists: tuple[Listing, ...] = ()
    beside: Beside | None = None

    def wanted(self, holds: Mapping[Sparse, bool]) -> bool:
        """Whether it runs under a choice."""
        if not self.when:
            return True
        return any(all(holds[test] is value for test, value in clause) for clause in self.when)


@dataclass(frozen=True)
class Kernel:
    """A generated kernel: what it is called, for people, and where it comes from."""

    name: str
    label: str
    span: Span | None = None


@dataclass(frozen=True)
class RoutineActions:
    """A routine as actions; `before_steps` runs at every call that has steps."""

    name: str
    once: tuple[Action, ...] = ()
    before_steps: tuple[Action, ...] = ()
    step: tuple[Action, ...] = ()
    after: tuple[Action, ...] = ()
    count: tuple[Action, ...] = ()  # measures what the next call's choice is made from
    tests: tuple[Sparse, ...] = ()  # that the routine depends on
    windows: tuple[Window, ...] = ()  # that they are about


def rows_grid(size: int, spread: bool) -> dict[str, object]:
    """A block for each row, or (`spread`) several, for kernels over (row, neuron) pairs."""
    if spread:
        threads = _threads(size, THREADS)
        return {"threads": threads, "x": Extent(0, 1), "y": Extent(size, 0, threads)}
    return {"threads": _threads(size, ROW_THREADS), "x": Extent(0, 1)}


def flat_grid(fixed: int, per_row: int) -> dict[str, object]:
    """Blocks that stride over all elements of an array."""
    return {"threads": THREADS, "x": Extent(fixed, per_row, 4 * THREADS, STRIDE_LIMIT)}


def synapse_grid(m: int, n: int) -> dict[str, object]:
    """A block for each presynaptic neuron and some of its synapses."""
    threads = _threads(n, THREADS)
    return {"threads": threads, "x": Extent(n, 0, threads), "y": Extent(m)}


def tile_grid(m: int, n: int, side: int, threads: int) -> dict[str, object]:
    """A block for each tile of a matrix."""
    return {
        "threads": threads,
        "x": Extent(n, 0, side, GRID_LIMIT_X),
        "y": Extent(m, 0, side),
    }


def listed_grid(width: int) -> dict[str, object]:
    """A block for every 32 columns of a (R, width) matrix, each in parts."""
    return {"threads": ROW_THREADS, "x": Extent(width, 0, LISTED_COLUMNS, GRID_LIMIT_X)}


def _threads(elements: int, limit: int) -> int:
    return max(32, min(limit, -(-elements // 32) * 32))
