"""Expressions shared by the network graph and the step program.

One small tree serves every stage between the syntax tree and the printers. Leaves differ by
stage: the network graph reads *variables* (`Ref`), the step program reads *buffers* (`Load`).
Interior nodes are the same, so a pass is a map over leaves. Nodes are immutable and compare by
structure; spans are carried along but never compared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from netdsl.diagnostics.span import Span

# Time roles of a variable read (language reference, section 2). A phase read is "@" + its name.
NOW = "now"
PREV = "prev"  # the end of the previous step
ARRIVAL = "arrival"  # a presynaptic value as the projection's delay delivers it
SETTLED = "settled"  # inputs and definitions recomputed from the present states
NEWEST = "newest"  # the last row, or the slot of a memory that was pushed last
SECOND = "second"  # of a modulator with a number for each two rows: `MEMORY/second`


@dataclass(frozen=True)
class Expr:
    """Base of all expressions. Parts may be shared; a walk meets them as often as they are read."""

    @cached_property
    def size(self) -> int:
        """Nodes that a walk meets."""
        return 1 + sum(child.size for child in children(self))

    @cached_property
    def depth(self) -> int:
        """Nodes from here to the farthest leaf."""
        return 1 + max((child.depth for child in children(self)), default=0)


@dataclass(frozen=True)
class Const(Expr):
    """A literal, or a parameter folded to its value (units already converted to SI)."""

    value: float | int | bool
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Ref(Expr):
    """A read of a variable, by full path (`h1.v`, `W1.w`, `sample.label`, `epoch`).

    `side` says which end of a synapse it is read at: "own" in a cell, "pre", "post" or "synapse"
    in a rule or delivery. `time` is one of NOW, PREV, ARRIVAL, SETTLED or "@phase". `slot` says in
    which row or slot of a memory: "" for the row itself, NEWEST, or what a `Reduce` around binds.
    """

    path: str
    side: str = "own"
    time: str = NOW
    span: Span | None = field(default=None, compare=False)
    slot: str = ""

    @property
    def phase(self) -> str | None:
        """The phase of an `x@phase` read, None for other time roles."""
        return self.time[1:] if self.time.startswith("@") and self.time[1:] != PREV else None


@dataclass(frozen=True)
class Load(Expr):
    """A read of a buffer of the step program; the buffer's place decides how it is indexed.

    `side`: whose value it is where the loop runs over synapses, that of the "pre" or the "post"
    neuron; of rows, that of the "other" or of the "newest" one; "own" is the element of the loop
    itself. `ago`: how many pushes back, for a buffer with
    slots: 0 is what was pushed last; an expression of GLOBAL values where it changes.
    """

    buffer: str
    span: Span | None = field(default=None, compare=False)
    side: str = "own"
    ago: int | Expr = 0


@dataclass(frozen=True)
class Local(Expr):
    """A read of a value bound earlier in the same operation (`Bind`)."""

    name: str
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Index(Expr):
    """The index of a neuron: flat when `axis` is None, else along a named axis.

    In a synapse-placed expression `side` ("pre" or "post") says whose index.
    """

    axis: str | None = None
    side: str = "own"
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Apply(Expr):
    """A primitive function of `netdsl.ir.functions`, operators included ("add", "lt", "select")."""

    function: str
    args: tuple[Expr, ...]
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Reduce(Expr):
    """`kind` ("sum", "mean", "max", "min", "any", "count", "argmax") of `body` over `axis`.

    Axes: "population" (neurons within one sample), "batch", "pre" (afferents), "phase:NAME"
    (steps of a phase), "phase:NAME:K" (its last K steps), "slot:MEMORY:INDEX" (slots of a memory,
    or rows where that is "batch"; reads of `slot` INDEX go over them), or the name of a population
    axis.
    """

    kind: str
    axis: str
    body: Expr
    span: Span | None = field(default=None, compare=False)

    @property
    def over_phase(self) -> str | None:
        """The phase whose steps are reduced over, None for other axes."""
        head, _, phase = self.axis.partition(":")
        return phase.partition(":")[0] if head == "phase" else None

    @property
    def last(self) -> int | None:
        """How many steps at the end of a phase are reduced over; None for all."""
        number = self.axis.split(":")[2:] if self.over_phase is not None else []
        return int(number[0]) if number else None

    @property
    def over_slots(self) -> tuple[str, str] | None:
        """The memory (or "batch") whose slots are reduced over and the index that goes over them,
        None for other axes."""
        head, _, rest = self.axis.partition(":")
        memory, _, index = rest.partition(":")
        return (memory, index) if head == "slot" else None


@dataclass(frozen=True)
class Custom(Expr):
    """`value`, with a derivative of its own: `slope` times that of `argument`.

    A spike is the condition, with its surrogate as slope along the margin; what is detached has
    slope 0. Passes that differentiate read all three; `strip` leaves the value.
    """

    value: Expr
    argument: Expr
    slope: Expr
    span: Span | None = field(default=None, compare=False)


def children(expr: Expr) -> tuple[Expr, ...]:
    """Direct operands of a node."""
    if isinstance(expr, Apply):
        return expr.args
    if isinstance(expr, Custom):
        return (expr.value, expr.argument, expr.slope)
    if isinstance(expr, Reduce):
        return (expr.body,)
    if isinstance(expr, Load) and isinstance(expr.ago, Expr):
        return (expr.ago,)
    return ()


def rebuild(expr: Expr, parts: tuple[Expr, ...]) -> Expr:
    """The same node with other operands."""
    if isinstance(expr, Apply):
        return Apply(expr.function, parts, expr.span)
    if isinstance(expr, Custom):
        return Custom(parts[0], parts[1], parts[2], expr.span)
    if isinstance(expr, Reduce):
        return Reduce(expr.kind, expr.axis, parts[0], expr.span)
    if isinstance(expr, Load) and parts:
        return Load(expr.buffer, expr.span, expr.side, parts[0])
    return expr


def walk(expr: Expr) -> Iterator[Expr]:
    """All nodes, parents first."""
    left = [expr]
    while left:
        node = left.pop()
        yield node
        left.extend(reversed(children(node)))


def transform(expr: Expr, visit: Callable[[Expr], Expr | None]) -> Expr:
    """Rewrite top-down: where `visit` returns a node it replaces the subtree, else recurse."""
    replaced = visit(expr)
    if replaced is not None:
        return replaced
    parts = children(expr)
    if not parts:
        return expr
    new = tuple(transform(part, visit) for part in parts)
    return expr if new == parts else rebuild(expr, new)


def stripped(expr: Expr) -> Expr:
    """The expression without slopes of its own: the values of `Custom`s in their place."""

    def visit(node: Expr) -> Expr | None:
        return stripped(node.value) if isinstance(node, Custom) else None

    return transform(expr, visit)


def refs(expr: Expr) -> tuple[Ref, ...]:
    """All variable reads, in order of appearance."""
    return tuple(node for node in walk(expr) if isinstance(node, Ref))


def loads(expr: Expr) -> tuple[str, ...]:
    """Names of all buffers read, in order of appearance, without repeats."""
    return tuple(dict.fromkeys(node.buffer for node in walk(expr) if isinstance(node, Load)))


def apply(function: str, *args: Expr, span: Span | None = None) -> Apply:
    """Shorthand used by passes."""
    return Apply(function, tuple(args), span)


def span_of(expr: Expr) -> Span | None:
    """Where an expression was written."""
    span = getattr(expr, "span", None)
    return span if isinstance(span, Span) else None
