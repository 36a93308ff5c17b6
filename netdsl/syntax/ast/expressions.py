"""Expressions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from netdsl.syntax.ast.base import Node, Ref


@dataclass(frozen=True, slots=True)
class Number(Node):
    """A literal, with the unit written after it: `13 ms`, `0.1`, `2 steps` (unit `step`).

    `text` keeps the digits as written, for the formatter; an `int` value is a count.
    """

    value: int | float
    unit: str | None = None
    text: str = field(default="", compare=False, repr=False)

    @property
    def is_int(self) -> bool:
        """Whether the literal was written without point and exponent."""
        return isinstance(self.value, int)


@dataclass(frozen=True, slots=True)
class Measured(Node):
    """An expression counted in `step`, `batch`, `sample`, `epoch`…: `phase free T steps`.

    `unit` is the singular; `word` keeps what was written.
    """

    value: Expr
    unit: str
    word: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class String(Node):
    """A quoted text."""

    value: str


@dataclass(frozen=True, slots=True)
class Bool(Node):
    """`true` or `false`."""

    value: bool


@dataclass(frozen=True, slots=True)
class Name(Node):
    """A bare name."""

    id: str


@dataclass(frozen=True, slots=True)
class Attribute(Node):
    """`base.name`: `pre.s`, `sample.image`, `batch.rows`."""

    base: Expr
    name: str


@dataclass(frozen=True, slots=True)
class At(Node):
    """`base@phase`: the value at the end of a named phase, or of the previous step (`prev`)."""

    base: Expr
    phase: str


@dataclass(frozen=True, slots=True)
class Index(Node):
    """`base[args]`."""

    base: Expr
    args: tuple[Expr, ...]


@dataclass(frozen=True, slots=True)
class Arg(Node):
    """One argument of a call, with its name where one was given."""

    value: Expr
    name: str | None = None


@dataclass(frozen=True, slots=True)
class Over(Node):
    """What a reduction runs over.

    `over row, col` · `over batch` · `over run last 10` · `over p in past` (index `p`) ·
    `per batch` (kind `per`) · `by sample.label` (kind `by`).
    """

    kind: Literal["over", "per", "by"]
    axes: tuple[Ref, ...]
    index: str | None = None
    last: Expr | None = None


@dataclass(frozen=True, slots=True)
class Call(Node):
    """`func(args)`; a reduction when `over` is given: `sum(e over pre)`."""

    func: Ref
    args: tuple[Arg, ...] = ()
    over: Over | None = None


UnaryOp: TypeAlias = Literal["-", "+", "not"]
BinaryOp: TypeAlias = Literal[
    "+", "-", "*", "/", "//", "%", "^", "and", "or", "==", "!=", "<", "<=", ">", ">="
]


@dataclass(frozen=True, slots=True)
class Unary(Node):
    """`-e`, `+e`, `not e`."""

    op: UnaryOp
    operand: Expr


@dataclass(frozen=True, slots=True)
class Binary(Node):
    """`left op right`."""

    op: BinaryOp
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True)
class Conditional(Node):
    """`then if cond else otherwise`."""

    cond: Expr
    then: Expr
    otherwise: Expr


@dataclass(frozen=True, slots=True)
class ListExpr(Node):
    """`[a, b, c]`."""

    items: tuple[Expr, ...]


Expr: TypeAlias = (
    Number
    | Measured
    | String
    | Bool
    | Name
    | Attribute
    | At
    | Index
    | Call
    | Unary
    | Binary
    | Conditional
    | ListExpr
)
