"""The step program: buffers and operations, the one thing that every backend executes.

Lowering turns a network into *routines*: one per phase statement of a protocol, one per `update`,
`set` and `reset`. A routine is a list of operations over named buffers; a backend turns each kind
of operation into code through one template and calls a routine as a whole.

Shapes: R rows (samples), n neurons of the owner population, m presynaptic neurons.

    GLOBAL  one number                ROW      (R,)
    NEURON  (n,)                      UNIT     (R, n)
    SYNAPSE (m, n), always (pre, post)

A projection of `Program.layouts` stores its SYNAPSE buffers in another shape, and its operations
mean the same sums over the synapses that exist.

Everything is float of the run's dtype except BOOL buffers (0/1, also stored as float so that they
can enter matrix products) and GLOBAL buffers, which are float64 in every backend. Scalar
subexpressions (`scalars` of an operation) are evaluated in float64, once, before its loops.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from netdsl.diagnostics.span import Span
from netdsl.ir.expr import Expr
from netdsl.ir.network import Draw, Place, Type
from netdsl.ir.windows import Windows


@dataclass(frozen=True)
class Buffer:
    """A named array. `owner` is a population (NEURON, UNIT) or a projection (SYNAPSE).

    `role`: state | input | parameter | sample | scratch | snapshot | hoisted | accumulator |
    recording | weight | optimiser | counter | control. `init` is the value at build: a constant,
    an expression over NEURON/SYNAPSE parameters, or a draw; per-sample buffers start at 0 and are
    set by reset routines.
    """

    name: str
    place: Place
    owner: str
    role: str
    type: Type = Type.REAL
    init: Expr | Draw | None = None
    why: str = ""  # one phrase for `show memory`
    span: Span | None = field(default=None, compare=False)

    @property
    def double(self) -> bool:
        """Is it held, and what is stored to it computed, in float64 whatever the run's type?"""
        return self.role == "accumulator"


@dataclass(frozen=True)
class Bind:
    """Name a value for the later statements of the same operation (same element only)."""

    name: str
    value: Expr
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Store:
    """`buffer := value`, element by element. Reads of `buffer` in `value` see the old value."""

    buffer: str
    value: Expr
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class RowReduce:
    """`buffer[r] := kind over the population's neurons of value[r, :]`; `buffer` is ROW."""

    buffer: str
    kind: str  # sum | mean | max | min | any
    value: Expr
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class AxisReduce:
    """`buffer[r, j] := kind over j's group of value[r, :]`; `buffer` is UNIT.

    A group is the neurons that differ along one axis of the population, of `length` places that lie
    `inner` neurons apart. A statement of lowering: a program has `GroupReduce` instead.
    """

    buffer: str
    kind: str  # sum | mean | max | min | any
    value: Expr
    length: int
    inner: int
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class DrawStore:
    """`buffer[r, k] ~ distribution(args)`, one draw an element from the counter-based stream.

    Key and counter are laid out as `netdsl.runtime.random` states: stream hash of `stream`, the
    row's key (buffer-less array `row.key`, uint64, R), the step `t` of the presentation, element k.
    """

    buffer: str
    distribution: str
    args: tuple[Expr, ...]
    stream: str
    span: Span | None = field(default=None, compare=False)


Statement = Bind | Store | RowReduce | AxisReduce | DrawStore


@dataclass(frozen=True)
class Elementwise:
    """Statements in order over one population's (row, neuron) pairs.

    A statement that stores to a ROW buffer, or binds a value that reads only ROW and GLOBAL ones,
    is executed once per row. Statements never look at other rows, so a backend may run row by row;
    a `RowReduce` ends a loop over neurons. Bound names never cross a `RowReduce`. UNIT buffers of
    another population may be read when that population has the same size. `Index()` is the neuron.
    """

    population: str
    statements: tuple[Statement, ...]
    scalars: tuple[Bind, ...] = ()
    label: str = ""


@dataclass(frozen=True)
class Propagate:
    """`target[r, j] (+)= scale * sum_i source[r, i] * w[i, j]`, or with `transposed`,
    `target[r, i] (+)= scale * sum_j source[r, j] * w[i, j]`.

    `accumulate` adds to the target, else overwrites it. `scale` reads only GLOBAL buffers
    (None: 1). Slices select part of the pre and post populations: `w` has the slices' shape,
    `source` and `target` are whole UNIT buffers. `binary`: the source holds only 0 and 1 and is
    often sparse, so a backend may gather rows of `w`.
    """

    projection: str
    weight: str
    source: str
    target: str
    scale: Expr | None = None
    accumulate: bool = True
    transposed: bool = False
    binary: bool = False
    pre_slice: tuple[int, int] | None = None
    post_slice: tuple[int, int] | None = None
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Product:
    """`coefficient[i, j] * sum_r pre[r, i] * post[r, j]`: one term of a batch-reduced sum.

    `pre`/`post` are UNIT buffers of the two populations; None stands for ones. `coefficient`
    reads SYNAPSE buffers, scalars and `Index(side=...)` (None: 1). `binary_pre`: `pre` holds only
    0 and 1.
    """

    pre: str | None
    post: str | None
    coefficient: Expr | None = None
    binary_pre: bool = False


@dataclass(frozen=True)
class Sum:
    """A batch-reduced synaptic quantity, readable as `Local(name)` in the statements."""

    name: str
    products: tuple[Product, ...]


@dataclass(frozen=True)
class SynapseUpdate:
    """One pass over the synapses of a projection: form the `sums`, then run `statements`.

    Statements are Bind and Store over SYNAPSE buffers (`Load`), locals, scalars, and
    `Index(side="pre"|"post")`. Over `Windows` there are neither sums nor indices: `WindowSum`s come
    first. `before` are Stores to GLOBAL buffers (an optimiser's application count), run once,
    before `scalars`. Sums need never be materialised.
    """

    projection: str
    sums: tuple[Sum, ...]
    statements: tuple[Bind | Store, ...]
    before: tuple[Store, ...] = ()
    scalars: tuple[Bind, ...] = ()
    pre_slice: tuple[int, int] | None = None
    post_slice: tuple[int, int] | None = None
    label: str = ""
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class WindowSum:
    """`target[t, k] = sum over rows, positions of pre[r, what tap t sees] * post[r, position, k]`.

    `projection` has `Windows`; `pre` and `post` are UNIT buffers of its populations, `target` is a
    SYNAPSE buffer. With depthwise windows tap t of kernel k sees channel k. `binary_pre`: `pre`
    holds only 0 and 1. It forms the batch sums of a kernel that learns, so that the pass over the
    kernel reads them like any other buffer.
    """

    projection: str
    pre: str
    post: str
    target: str
    binary_pre: bool = False
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class GroupReduce:
    """`target[r, j] := kind over j's group of source[r, :]`, two UNIT buffers of one population.

    Neurons are (…, length, inner), row-major; a group is all `length` places of the second axis.
    """

    target: str
    source: str
    kind: str  # sum | mean | max | min | any
    length: int
    inner: int
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Copy:
    """`target := source`, two buffers of equal shape."""

    target: str
    source: str
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Fill:
    """`target := value` everywhere."""

    target: str
    value: float
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Transpose:
    """`target := sourceᵀ` for two SYNAPSE buffers (`set Wc.w := transpose(W2.w)`)."""

    target: str
    source: str
    span: Span | None = field(default=None, compare=False)


Op = Elementwise | Propagate | SynapseUpdate | WindowSum | GroupReduce | Copy | Fill | Transpose


@dataclass(frozen=True)
class Routine:
    """`once`, then `step` for every step, then `after`. Updates, sets and resets use only `once`.

    Within `step` the GLOBAL buffers `phase.step` (0-based) and `t` (steps since the presentation
    began) are maintained by the backend.
    """

    name: str
    kind: str  # phase | update | set | reset | start
    once: tuple[Op, ...] = ()
    step: tuple[Op, ...] = ()
    after: tuple[Op, ...] = ()
    phase: str = ""  # the phase's name in the text
    notes: tuple[str, ...] = ()  # what was fused, hoisted, factored, and why not: `show schedule`
    span: Span | None = field(default=None, compare=False)


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

    Routines of protocol steps are named by the step's `site`; `reset:OWNER` are the resets,
    `start:OWNER` give their start values to states that no reset touches.

    `slices`: where projections lead from or to a part of a population, which neurons.

    `layouts`: how projections that are not full matrices store their synapses.

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
    sources: Mapping[str, str] = field(default_factory=dict)  # file name -> text, for comments

    @cached_property
    def windows(self) -> Mapping[str, Windows]:
        """The projections whose kernel is shared."""
        return {name: w for name, w in self.layouts.items() if isinstance(w, Windows)}
