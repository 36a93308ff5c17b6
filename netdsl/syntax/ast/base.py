"""What all nodes of the tree share: a span, references, types and parameters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from netdsl.diagnostics.span import NO_SPAN, Span

if TYPE_CHECKING:
    from netdsl.syntax.ast.expressions import Expr


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the tree. Spans do not take part in `==`: equal text means equal trees."""

    span: Span = field(default=NO_SPAN, compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Named(Node):
    """A node that introduces a name; `name_span` is where the name itself stands."""

    name: str
    name_span: Span = field(default=NO_SPAN, compare=False, repr=False, kw_only=True)


@dataclass(frozen=True, slots=True)
class Ref(Node):
    """A mention of a declared thing, dotted where it has parts: `h1`, `rec.E`, `std.one`."""

    name: str

    @property
    def parts(self) -> tuple[str, ...]:
        """The segments between the dots."""
        return tuple(self.name.split("."))

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class TypeRef(Node):
    """A type position: `count`, `bool`, `modulator` (name), `mV/ms` (unit) or `{a, b}` (enum)."""

    kind: Literal["name", "unit", "enum"]
    text: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Range(Node):
    """A closed interval `[low, high]`."""

    low: Expr
    high: Expr


@dataclass(frozen=True, slots=True)
class Param(Named):
    """`param NAME per P : type = default in [a, b] "doc"`; also a formal parameter in `(…)`.

    With `drawn` the default is a distribution (`~`), drawn once when the network is built.
    """

    per: str | None = None
    type: TypeRef | None = None
    default: Expr | None = None
    drawn: bool = False
    range: Range | None = None
    doc: str | None = None


@dataclass(frozen=True, slots=True)
class Let(Named):
    """`let NAME = value`: evaluated where it stands (body) or when read (top level); private."""

    value: Expr


@dataclass(frozen=True, slots=True)
class Setting(Named):
    """`NAME = value`: a setting of the enclosing block, such as `tau = 13 ms` or `dw = …`."""

    value: Expr
