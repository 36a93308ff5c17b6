"""The step program: buffers and operations, the one thing that every backend executes.

Lowering turns a network into *routines*: one per phase statement of a protocol, one per `update`,
`set` and `reset`. A routine is a list of operations over named buffers; a backend turns each kind
of operation into code through one template and calls a routine as a whole.

Shapes: R rows (samples), n neurons of the owner population, m presynaptic neurons.

    GLOBAL  one number                ROW      (R,)
    NEURON  (n,)                      UNIT     (R, n)
    SYNAPSE (m, n), always (pre, post)
    PAIR    (R, R)                    ROW_SYNAPSE (R, m, n)

and for a memory of N slots, which are there whatever the rows:

    SLOT    (N,)                      SLOT_UNIT (N, n)
    SLOT_PAIR (N, N)                  ROW_SLOT  (R, N)

What a buffer has one number for each of is its `space`, and an operation's what its loops run over
(`netdsl.ir.space`).

A projection of `Program.layouts` stores its SYNAPSE buffers in another shape, and its operations
mean the same sums over the synapses that exist.

Everything is float of the run's dtype except BOOL buffers (0/1, also stored as float so that they
can enter matrix products) and GLOBAL buffers, which are float64 in every backend. Scalar
subexpressions (`scalars` of an operation) are evaluated in float64, once, before its loops.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from netdsl.diagnostics.span import Span
from netdsl.ir.expr import Expr
from netdsl.ir.network import Draw, Place, Type
from netdsl.ir.operations import (
    OPERATIONS,
    Copy,
    Each,
    Elementwise,
    Fill,
    GroupReduce,
    Guarded,
    Op,
    Propagate,
    Push,
    Reduction,
    Shift,
    SynapseUpdate,
    Transpose,
    WindowSum,
)
from netdsl.ir.roles import Node, once
from netdsl.ir.space import Space, per_sample, space_of
from netdsl.ir.statements import (
    STATEMENTS,
    AxisReduce,
    Bind,
    DrawStore,
    RowReduce,
    Statement,
    Store,
)
from netdsl.ir.sums import Product, RowSum, Sum
from netdsl.ir.windows import Windows

__all__ = [
    "OPERATIONS",
    "STATEMENTS",
    "AxisReduce",
    "Bind",
    "Buffer",
    "Copy",
    "DrawStore",
    "Each",
    "Edges",
    "Elementwise",
    "Fill",
    "GroupReduce",
    "Guarded",
    "Key",
    "Layout",
    "Op",
    "Product",
    "Program",
    "Propagate",
    "Push",
    "Reduction",
    "Routine",
    "RowReduce",
    "RowSum",
    "Shift",
    "Statement",
    "Store",
    "Sum",
    "SynapseUpdate",
    "Transpose",
    "WindowSum",
]


class Key(NamedTuple):
    """Which value of a variable: its path, and "" for the present one, "prev", "settled",
    "phase:free", "count:run", … for others."""

    of: str
    tag: str = ""

    def __str__(self) -> str:
        """As a user writes it: `h1.v`, `h1.v@prev`, `h1.v@free`."""
        return f"{self.of}@{self.tag.removeprefix(PHASE)}" if self.tag else self.of


PHASE = "phase:"  # the tag of what a variable was when a phase of some name ended


def key_of(text: str, phases: Container[str]) -> Key:
    """The key that a user writes, where phases have these names."""
    of, _, tag = text.partition("@")
    return Key(of, PHASE + tag if tag and tag in phases else tag)


@dataclass(frozen=True)
class Buffer(Node):
    """A named array. `owner` is a population (NEURON, UNIT) or a projection (SYNAPSE), `memory`
    what its slots are of (SLOT, …).

    `role`: state | input | parameter | sample | scratch | snapshot | hoisted | accumulator |
    recording | weight | optimiser | counter | control. `init` is the value at build: a constant,
    an expression over NEURON/SYNAPSE parameters, or a draw; per-sample buffers start at 0 and are
    set by reset routines. What a buffer means stands in these fields; names are for printing only.
    """

    form = "buffer {name} {place} {role}"

    name: str
    place: Place
    owner: str
    role: str
    type: Type = Type.REAL
    init: Expr | Draw | None = None
    why: str = ""  # one phrase for `show memory`
    kept: bool = False  # read by the host, whoever else reads it
    of: str = ""  # the variable, or what else, that this is a value of; "" for passing results
    tag: str = ""  # which value of it (`Key`): "" for the present one
    slots: int = 1  # more than one: a ring of that many earlier values, each of the buffer's shape
    packed: bool = False  # a ring of bools, kept as bits
    memory: str = ""
    span: Span | None = field(default=None, compare=False)

    @once
    def space(self) -> Space:
        """What there is one number for each of."""
        return space_of(self.place, self.owner, self.memory)

    @property
    def key(self) -> Key | None:
        """Which value of a variable this is, if of any."""
        return Key(self.of, self.tag) if self.of else None

    @property
    def double(self) -> bool:
        """Is it held, and what is stored to it computed, in float64 whatever the run's type?"""
        return self.role == "accumulator"


@dataclass(frozen=True)
class Routine(Node):
    """`once`, then `step` for every step, then `after`. Sets and resets use only `once`.

    Within `step` the GLOBAL buffers `phase.step` (0-based) and `t` (steps since the presentation
    began) are maintained by the backend. An update with `steps` goes back through those of a phase:
    `step` runs so many times, `phase.step` counts them and `t` stays as it is. `through` is the
    phase, of `whole` steps, and `fresh` whether it must be the first since a reset.

    Where a phase is run again in chunks of `chunk` steps, counted from its end, `parts` names
    routines of kind "part", which run as a phase does. One of a phase marks where a chunk begins
    (at the first step `once` does). An update has four: for each chunk from the last one on, the
    first goes back to mark `phase.step`, the second runs the chunk again, the fourth goes back
    through it, where `phase.step` counts the steps of all chunks and `t` those beyond the end of
    the phase; the third comes before the first chunk's fourth, and reverses `ahead` steps. The
    update's own operations come last.
    """

    form = "routine {name} {kind}"

    name: str
    kind: str  # phase | update | set | reset | start | part
    once: tuple[Op, ...] = ()
    step: tuple[Op, ...] = ()
    after: tuple[Op, ...] = ()
    phase: str = ""  # the phase's name in the text
    notes: tuple[str, ...] = ()  # what was fused, hoisted, factored, and why not: `show schedule`
    steps: int = 0  # of an update: how often `step` runs
    span: Span | None = field(default=None, compare=False)
    owner: str = ""  # of a reset or start: whose states
    through: str = ""  # of an update: the phase that a sweep goes back through
    whole: int = 0
    fresh: bool = False
    chunk: int = 0
    parts: tuple[str, ...] = ()
    ahead: int = 0
    kept: str = ""  # of a phase: a sentence on what is kept for sweeps, `show memory`

    @property
    def runs(self) -> bool:
        """Does it run step by step, and count them?"""
        return self.kind in ("phase", "part")

    @property
    def ops(self) -> tuple[Op, ...]:
        """All its operations."""
        return (*self.once, *self.step, *self.after)


@dataclass(frozen=True)
class Edges:
    """Only the synapses that exist are stored: SYNAPSE buffers are (edges,), by pre, then post.

    Which exist is drawn at build from `mask`, a connectivity draw; `density` is the expected share.
    """

    mask: Draw
    density: float


Part = tuple[int, int] | None  # the first neuron of a slice and the one after its last
Layout = Edges | Windows
"""`Windows`: SYNAPSE buffers hold one kernel, of `Program.shapes` (taps, kernels)."""


@dataclass(frozen=True)
class Program:
    """Buffers and routines; sizes are fixed, the number of rows is not.

    Routines of protocol steps are named by the step's `site`. Those of kind "reset" belong to an
    owner, and so do those of kind "start", which give values to states that no reset touches.

    `slices`: where projections lead from or to a part of a population, which neurons.

    `memories`: how many slots each has.

    `layouts`: how projections that are not full matrices store their synapses. `ends`: the pre and
    post population of each projection.

    `host_scalars`: GLOBAL buffers that the host computes from the sample fields when a batch is
    loaded (`sum(sample.positive over batch)`), as expressions over SAMPLE loads.
    """

    name: str
    sizes: Mapping[str, int]  # population -> n
    shapes: Mapping[str, tuple[int, int]]  # projection -> (m, n)
    buffers: Mapping[str, Buffer]
    routines: Mapping[str, Routine]
    layouts: Mapping[str, Layout] = field(default_factory=dict)
    slices: Mapping[str, tuple[Part, Part]] = field(default_factory=dict)
    host_scalars: Mapping[str, Expr] = field(default_factory=dict)
    ends: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    memories: Mapping[str, int] = field(default_factory=dict)
    sources: Mapping[str, str] = field(default_factory=dict, compare=False)  # file -> text
    given: Mapping[str, Any] = field(default_factory=dict, compare=False)  # arrays of files

    def find(self, of: str, tag: str = "") -> str | None:
        """The name of the buffer that holds a value of a variable."""
        return self._by_key.get(Key(of, tag))

    def counter(self, of: str) -> str:
        """The name of the buffer of what a backend counts: `t` or `phase.step`."""
        return self.find(of) or of

    def key(self, text: str) -> Key:
        """The key that a user writes: `h1.v`, `h1.v@prev`, `h1.v@free` for the end of a phase."""
        return key_of(text, {routine.phase for routine in self.routines.values()})

    @cached_property
    def _by_key(self) -> Mapping[Key, str]:
        return {b.key: name for name, b in self.buffers.items() if b.key is not None}

    @cached_property
    def of_newest(self) -> frozenset[str]:
        """Buffers of which an operation makes the last row alone; others hold anything."""
        ops = (op for routine in self.routines.values() for op in routine.ops)
        alone = (op.writes for op in ops if getattr(op, "newest", False))
        whole = (name for name, held in self.buffers.items() if not per_sample(held.place))
        return frozenset[str]().union(*alone) - frozenset(whole)

    @cached_property
    def windows(self) -> Mapping[str, Windows]:
        """The projections whose kernel is shared."""
        return {name: w for name, w in self.layouts.items() if isinstance(w, Windows)}
