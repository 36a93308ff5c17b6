"""The statements that operations hold."""

from __future__ import annotations

from dataclasses import dataclass, field

from netdsl.diagnostics.span import Span
from netdsl.ir.expr import Expr
from netdsl.ir.roles import Bound, Node, Written
from netdsl.ir.space import ROW, Space


@dataclass(frozen=True)
class Bind(Node):
    """Name a value for the later statements of the same operation (same element only)."""

    form = "{name} = {value}"

    name: Bound
    value: Expr
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Store(Node):
    """`buffer := value`, element by element. Reads of `buffer` in `value` see the old value."""

    form = "{buffer} := {value}"

    buffer: Written
    value: Expr
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class RowReduce(Node):
    """`buffer[r] := kind over the population's neurons of value[r, :]`; `buffer` is ROW."""

    form = "{buffer} := {kind}({value} over population)"
    ends_loop = True

    buffer: Written
    kind: str  # sum | mean | max | min | any
    value: Expr
    span: Span | None = field(default=None, compare=False)

    def held(self, loops: Space) -> Space:
        """The neurons are reduced."""
        return (ROW,)


@dataclass(frozen=True)
class AxisReduce(Node):
    """`buffer[r, j] := kind over j's group of value[r, :]`; `buffer` is UNIT.

    A group is the neurons that differ along one axis of the population, of `length` places that lie
    `inner` neurons apart. A statement of lowering: a program has `GroupReduce` instead.
    """

    form = "{buffer} := {kind}({value} over {length} neurons {inner} apart)"
    ends_loop = True

    buffer: Written
    kind: str  # sum | mean | max | min | any
    value: Expr
    length: int
    inner: int
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class DrawStore(Node):
    """`buffer[r, k] ~ distribution(args)`, one draw an element from the counter-based stream.

    Key and counter are laid out as `netdsl.streams.draws` states: stream hash of `stream`, the
    row's key (buffer-less array `row.key`, uint64, R), the step `t` of the presentation, element k.
    """

    form = "{buffer} ~ {distribution}{args}"
    quiet = frozenset({"stream"})
    draws = True

    buffer: Written
    distribution: str
    args: tuple[Expr, ...]
    stream: str
    span: Span | None = field(default=None, compare=False)


Statement = Bind | Store | RowReduce | AxisReduce | DrawStore
STATEMENTS = (Bind, RowReduce, AxisReduce, DrawStore, Store)  # as their texts are told apart
