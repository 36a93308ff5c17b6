"""Where names are looked up: a chain of scopes ending in the specification's own values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from netdsl.diagnostics import Span
from netdsl.ir.expr import Index
from netdsl.ir.network import Place, Type
from netdsl.sema.scopes.values import Value, bad
from netdsl.syntax import ast

if TYPE_CHECKING:
    from netdsl.sema.scopes.components import Vector
    from netdsl.sema.scopes.context import Context


class Scope:
    """Base of all scopes. `kind` names it in messages."""

    kind = "this specification"

    def __init__(self, context: Context, parent: Scope | None = None) -> None:
        self.context = context
        self.parent = parent

    def find(self, parts: tuple[str, ...], at: str | None, span: Span) -> Value | None:
        """The value of a dotted name, read `now` or `@at`; None when nobody declares it.

        A scope that knows why a name cannot be read here reports that and returns a bad value.
        """
        return self.parent.find(parts, at, span) if self.parent is not None else None

    def names(self) -> Iterator[str]:
        """What could have been meant, nearest first."""
        if self.parent is not None:
            yield from self.parent.names()

    def vector(self, parts: tuple[str, ...]) -> Vector | None:
        """The short vector of a dotted name; None where it names none."""
        found = self.parent.vector(parts) if self.parent is not None else None
        return replace(found, scope=self) if found is not None else None

    def element(self, node: ast.Index) -> Value | None:
        """What an index picks where it counts numbers of a sample; None elsewhere."""
        return None

    def units(self, side: str, of: str = "index") -> int | None:
        """Units at an end of the synapse that an expression is evaluated for, or cell types."""
        return self.parent.units(side, of) if self.parent is not None else None

    def reduce(self, kind: str, body: Value, node: ast.Call) -> Value:
        """A reduction without an axis, or over an axis that only this scope knows."""
        if self.parent is not None:
            return self.parent.reduce(kind, body, node)
        self.context.bag.error(
            "E0209",
            f"there is nothing to take the {kind} over in {self.kind}",
            node.span,
            help="reductions over neurons stand in a cell, a modulator, a readout or a metric",
        )
        return bad(node.span)

    def slot(self, name: str) -> Slot | None:
        """The slots that an index goes over, or its own one; None for what is no such index."""
        return self.parent.slot(name) if self.parent is not None else None

    @property
    def depth(self) -> int | None:
        """How many indices of slots reductions around have bound; None where none may be."""
        return self.parent.depth if self.parent is not None else None

    def reduce_slots(self, kind: str, axis: str, body: Value, node: ast.Call) -> Value:
        """A reduction over slots of a memory."""
        assert self.parent is not None
        return self.parent.reduce_slots(kind, axis, body, node)

    def index(self, span: Span) -> Value | None:
        """The index of the neuron that an expression is evaluated for; None where there is none."""
        return self.parent.index(span) if self.parent is not None else None

    def width(self) -> int | None:
        """Neurons of the population an expression is evaluated for."""
        return self.parent.width() if self.parent is not None else None

    @property
    def host(self) -> bool:
        """Is this evaluated by the host on whole arrays (readouts, metrics, protocols)?"""
        return self.parent.host if self.parent is not None else False

    @property
    def matrices(self) -> bool:
        """Are names matrices of start values here?"""
        return self.parent.matrices if self.parent is not None else False

    @property
    def draws(self) -> bool:
        """May `random_sign()` be drawn here?"""
        return False


@dataclass(frozen=True)
class Slot:
    """An index of slots: `index` is what `Ref.slot` says; the memory is "batch" for rows."""

    memory: str
    index: str


def neuron_index(axis: str | None, span: Span) -> Value:
    """`index`, or the index along a named axis."""
    return Value(Index(axis, "own", span), type=Type.COUNT, place=Place.NEURON, span=span)


class Bound(Scope):
    """Names bound to values that are known already: formal parameters of functions, `let`s."""

    def __init__(self, context: Context, parent: Scope, values: Mapping[str, Value]) -> None:
        super().__init__(context, parent)
        self.values = dict(values)

    def find(self, parts: tuple[str, ...], at: str | None, span: Span) -> Value | None:
        if len(parts) == 1 and parts[0] in self.values:
            return self.values[parts[0]].at(span)
        return super().find(parts, at, span)

    def names(self) -> Iterator[str]:
        yield from self.values
        yield from super().names()


@dataclass(frozen=True)
class Thunk:
    """An argument that is translated where it is read, with the clock of the reader."""

    node: ast.Expr
    scope: Scope


def dotted(node: ast.Expr) -> tuple[tuple[str, ...], str | None] | None:
    """`a.b@c` as (("a", "b"), "c"); `a@c.b` reads the same. None for other expressions."""
    if isinstance(node, ast.Name):
        return (node.id,), None
    if isinstance(node, ast.Attribute):
        base = dotted(node.base)
        return None if base is None else ((*base[0], node.name), base[1])
    if isinstance(node, ast.At):
        base = dotted(node.base)
        return None if base is None or base[1] is not None else (base[0], node.phase)
    return None
