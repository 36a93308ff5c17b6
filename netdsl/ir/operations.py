"""The operations of a step program.

Each says what its fields are (`netdsl.ir.roles`) and how it is written; what it means, for R rows,
n postsynaptic and m presynaptic neurons, stands in its docstring.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Self

from netdsl.diagnostics.span import Span
from netdsl.ir.expr import Expr, Local, walk
from netdsl.ir.roles import Node, Read, Written, expressions
from netdsl.ir.space import ROW, Space, edge, join, neuron
from netdsl.ir.statements import Bind, Statement, Store
from netdsl.ir.sums import Sum


@dataclass(frozen=True)
class Elementwise(Node):
    """Statements in order over one population's (row, neuron) pairs.

    A statement that stores to a ROW buffer, or binds a value that reads only ROW and GLOBAL ones,
    is executed once per row. Statements never look at other rows, so a backend may run row by row;
    a `RowReduce` ends a loop over neurons. Bound names never cross a `RowReduce`. UNIT buffers of
    another population may be read when that population has the same size. `Index()` is the neuron.
    """

    form = "cells {population}"

    population: str
    statements: tuple[Statement, ...]
    scalars: tuple[Bind, ...] = ()
    label: str = ""
    newest: bool = False  # only the last row is wanted; what others then hold is not said

    @property
    def space(self) -> Space:
        """Its loops."""
        return (ROW, neuron(self.population))

    def without(self, gone: Callable[[Node], bool]) -> Self:
        """The operation without stores that are gone, and without the names that these needed."""
        read: set[str] = set()
        kept: list[Statement] = []
        for statement in reversed(self.statements):
            if statement.binds not in read if statement.binds else gone(statement):
                continue
            kept.append(statement)
            parts = (part for expr in expressions(statement) for part in walk(expr))
            read |= {part.name for part in parts if isinstance(part, Local)}
        left = tuple(kept[::-1])
        return self if left == self.statements else replace(self, statements=left)

    @property
    def title(self) -> str:
        """What the cells do, or whose they are."""
        return self.label or self.population

    def first_access(self, buffer: str, owner: str) -> str | None:
        """The first statement that reads or stores the buffer decides."""
        for statement in self.statements:
            if buffer in statement.reads:
                return "reads"
            if buffer in statement.writes and not statement.ends_loop:
                return "overwrites" if owner == self.population else "reads"
        return None


@dataclass(frozen=True)
class Each(Node):
    """Statements in order at every element of a space; elements do not read each other.

    A buffer stored to has the space, or the space without its row axis: then rows go in order,
    each seeing what the one before stored. In an edge space `Load(side="pre"|"post")` is the value
    of the synapse's neuron and `Index` has the same sides; in (row, row') `Load(side="other")` is
    that of the second row, and anywhere `Load(side="newest")` that of the last one. Either may be a
    slot of a memory. (row, neuron) of the batch has an operation of its own, `Elementwise`, which
    has reductions and draws too.
    """

    form = "each {space}"
    any_row = True
    guard: ClassVar[str] = ""  # the buffer that says where it is done, read at `side`
    side: ClassVar[str] = ""

    space: Space
    statements: tuple[Bind | Store, ...]
    scalars: tuple[Bind, ...] = ()
    label: str = ""
    newest: bool = False  # only the last row is wanted; what others then hold is not said
    span: Span | None = field(default=None, compare=False)

    @property
    def title(self) -> str:
        """What is done, or where."""
        return self.label or " ".join(map(str, self.space)) or "once"

    def covers(self, buffer: str, owner: str) -> bool:
        """Only what it says: another buffer of the space's size may be larger."""
        return False


@dataclass(frozen=True)
class Guarded(Node):
    """`Each` over (edge,) or (row, edge), at those synapses alone whose `side` neuron has 1 in
    `buffer`, which is per neuron or per (row, neuron): what a spike sets off."""

    form = "each {space} where {side} {buffer}"

    space: Space
    side: str  # pre | post
    buffer: Read
    statements: tuple[Bind | Store, ...]
    scalars: tuple[Bind, ...] = ()
    label: str = ""
    span: Span | None = field(default=None, compare=False)

    @property
    def title(self) -> str:
        """What is done, or where."""
        return self.label or f"{self.side} {self.buffer}"

    @property
    def guard(self) -> str:
        """The buffer that says where it is done."""
        return self.buffer

    def covers(self, buffer: str, owner: str) -> bool:
        """Stores touch what is guarded."""
        return False


@dataclass(frozen=True)
class Reduction(Node):
    """`target := kind of value over` some axes, whatever they are; NaN passes.

    The loops run over the target's space and `over`. A target per neuron takes what is reduced over
    the synapses of each of its neurons, which are their `side` (afferents are reduced into "post").
    Of no synapse the sum, mean and any are 0, the maximum and minimum infinite.
    """

    form = "{target} := {kind}({value} over {over})"
    any_row = True

    target: Written
    kind: str  # sum | mean | max | min | any
    value: Expr
    over: Space
    side: str = "own"
    newest: bool = False  # only the last row is wanted; what others then hold is not said
    span: Span | None = field(default=None, compare=False)

    def loops(self, space_of: Callable[[str], Space]) -> Space:
        """The target's, and what is reduced over."""
        return join(space_of(self.target), self.over)


@dataclass(frozen=True)
class Propagate(Node):
    """`target[r, j] (+)= scale * sum_i source[r, i] * w[i, j]`, or with `transposed`,
    `target[r, i] (+)= scale * sum_j source[r, j] * w[i, j]`.

    `accumulate` adds to the target, else overwrites it. `scale` reads only GLOBAL buffers
    (None: 1). Slices select part of the pre and post populations: `w` has the slices' shape,
    `source` and `target` are whole UNIT buffers. `binary`: the source holds only 0 and 1 and is
    often sparse, so a backend may gather rows of `w`. `ago`: the slot of the source, where it has
    some (`Load.ago`).
    """

    form = "{target} {accumulate?+=|:=} {source} . {weight}"
    quiet = frozenset({"projection", "binary", "pre_slice", "post_slice"})
    slot_fields: ClassVar[Mapping[str, str]] = {"source": "ago"}

    projection: str
    weight: Read
    source: Read
    target: Written
    scale: Expr | None = None
    accumulate: bool = True
    transposed: bool = False
    binary: bool = False
    ago: int = 0
    pre_slice: tuple[int, int] | None = None
    post_slice: tuple[int, int] | None = None
    span: Span | None = field(default=None, compare=False)

    @property
    def title(self) -> str:
        """The projection."""
        return self.projection

    @property
    def needs_old(self) -> bool:
        """What is accumulated adds to the target."""
        return self.accumulate

    @property
    def sparse(self) -> tuple[str, ...]:
        """The source."""
        return (self.source,) if self.binary else ()

    def covers(self, buffer: str, owner: str) -> bool:
        """A slice leaves the rest of the target."""
        return (self.pre_slice if self.transposed else self.post_slice) is None


@dataclass(frozen=True)
class SynapseUpdate(Node):
    """One pass over the synapses of a projection: form the `sums`, then run `statements`.

    Statements are Bind and Store over SYNAPSE buffers (`Load`), locals, scalars, and
    `Index(side="pre"|"post")`. Over `Windows` there are neither sums nor indices: `WindowSum`s come
    first. `before` are Stores to GLOBAL buffers (an optimiser's application count), run once,
    before `scalars`. Sums need never be materialised.
    """

    form = "synapses {projection}"
    quiet = frozenset({"pre_slice", "post_slice"})

    projection: str
    sums: tuple[Sum, ...]
    statements: tuple[Bind | Store, ...]
    before: tuple[Store, ...] = ()
    scalars: tuple[Bind, ...] = ()
    pre_slice: tuple[int, int] | None = None
    post_slice: tuple[int, int] | None = None
    label: str = ""
    span: Span | None = field(default=None, compare=False)

    @property
    def space(self) -> Space:
        """Its loops."""
        return (edge(self.projection),)

    @property
    def title(self) -> str:
        """What is learnt, or where."""
        return self.label or self.projection

    def covers(self, buffer: str, owner: str) -> bool:
        """Stores touch the synapses that exist."""
        return False


@dataclass(frozen=True)
class WindowSum(Node):
    """`target[t, k] = sum over rows, positions of pre[r, what tap t sees] * post[r, position, k]`.

    `projection` has `Windows`; `pre` and `post` are UNIT buffers of its populations, `target` is a
    SYNAPSE buffer. With depthwise windows tap t of kernel k sees channel k. `binary_pre`: `pre`
    holds only 0 and 1; `pre_ago`, `post_ago` as in `Product`. It forms the batch sums of a kernel
    that learns, so that the pass over the kernel reads them like any other buffer. `newest`: of the
    last row alone; not of depthwise windows, and not by lists.
    """

    form = "{target} := window_sum({pre} x {post}) over rows and positions"
    quiet = frozenset({"projection", "binary_pre"})
    slot_fields: ClassVar[Mapping[str, str]] = {"pre": "pre_ago", "post": "post_ago"}

    projection: str
    pre: Read
    post: Read
    target: Written
    binary_pre: bool = False
    pre_ago: int = 0
    post_ago: int = 0
    newest: bool = False
    span: Span | None = field(default=None, compare=False)

    @property
    def title(self) -> str:
        """The projection."""
        return self.projection


@dataclass(frozen=True)
class GroupReduce(Node):
    """`target[r, j] := kind over j's group of source[r, :]`, two UNIT buffers of one population.

    Neurons are (…, length, inner), row-major; a group is all `length` places of the second axis.
    """

    form = "{target} := {kind}({source} over {length} neurons {inner} apart)"

    target: Written
    source: Read
    kind: str  # sum | mean | max | min | any
    length: int
    inner: int
    newest: bool = False  # only the last row is wanted; what others then hold is not said
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Copy(Node):
    """`target := source`, two buffers of equal shape."""

    form = "{target} := {source}"

    target: Written
    source: Read
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Push(Node):
    """`target` gets one older and takes `source` in; with `all`, every slot becomes `source`.

    `target` is a ring: a buffer with slots, else of the shape of `source`. What is read with
    `ago = k` afterwards is what was pushed k times before.
    """

    form = "push {target} := {source}"

    target: Written
    source: Read
    all: bool = False
    span: Span | None = field(default=None, compare=False)

    @property
    def needs_old(self) -> bool:
        """What was pushed before stays."""
        return not self.all


@dataclass(frozen=True)
class Shift(Node):
    """The rows of `source`, in order, become the newest slots of `target`, its last ones; what was
    there moves towards slot 0, and what goes beyond is forgotten.

    `target` is SLOT or SLOT_UNIT, `source` has rows of the batch instead, otherwise alike.
    """

    form = "shift {target} := {source}"

    target: Written
    source: Read
    span: Span | None = field(default=None, compare=False)

    @property
    def needs_old(self) -> bool:
        """Older slots stay, each in the next place."""
        return True


@dataclass(frozen=True)
class Fill(Node):
    """`target := value` everywhere."""

    form = "{target} := {value} everywhere"

    target: Written
    value: float
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Transpose(Node):
    """`target := sourceᵀ` for two SYNAPSE buffers (`set Wc.w := transpose(W2.w)`)."""

    form = "{target} := transpose({source})"

    target: Written
    source: Read
    span: Span | None = field(default=None, compare=False)


OPERATIONS = (
    Elementwise,
    SynapseUpdate,
    Push,
    Shift,
    Propagate,
    WindowSum,
    Reduction,
    GroupReduce,
    Guarded,
    Each,
    Fill,
    Transpose,
    Copy,
)  # as their texts are told apart
Op = (
    Elementwise
    | Propagate
    | SynapseUpdate
    | WindowSum
    | Reduction
    | GroupReduce
    | Guarded
    | Each
    | Copy
    | Push
    | Shift
    | Fill
    | Transpose
)
