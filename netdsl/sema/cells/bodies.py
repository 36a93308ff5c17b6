"""What stands in a body of statements: its variables, from one of those they belong to."""

from __future__ import annotations

import copy

from netdsl.diagnostics import Span
from netdsl.ir.expr import NOW, PREV, Expr, Ref
from netdsl.ir.network import Kind, Place, Variable
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.scope import Scope
from netdsl.sema.scopes.units import NONE, Dim, Unknown, parse_unit
from netdsl.sema.scopes.values import Value, bad
from netdsl.syntax import ast

_REMEMBERED = frozenset({Kind.STATE, Kind.SPIKE, Kind.TRACE, Kind.DEF, Kind.DRAW})


class BodyScope(Scope):
    """The scope of statements that advance states: a cell's, a modulator's or a rule's.

    `name`: paths of its variables begin with it. `owner`: whose they are. `side`: of a neuron or of
    a synapse, as in `Ref`. `whole`: the place of what differs between these.
    """

    side = "own"
    whole = Place.UNIT

    def __init__(self, context: Context, parent: Scope, name: str, kind: str) -> None:
        super().__init__(context, parent)
        self.name, self.kind = name, kind
        self.owner = name
        self.params: dict[str, Value] = {}
        self.variables: dict[str, Variable] = {}
        self.paths: dict[str, str] = {}  # name in the text -> path
        self.ready: set[str] = set()  # lets whose statement has been passed
        self.hidden: set[str] = set()  # lets of the cell, where a modulator stands
        self.definitions: dict[str, ast.Def] = {}
        self.surrogates: dict[str, tuple[Expr, Expr]] = {}  # spike -> margin, surrogate
        self.time = NOW
        self.in_definition = False
        self.building = True
        self.define = _no_definition

    def place(self, value: Place) -> Place:
        """Where a `let` of a value at some place is held."""
        return Place.ROW if value in (Place.ROW, Place.GLOBAL) else Place.UNIT

    def time_of(self, at: str | None) -> str:
        """The time role of a read."""
        if at is None:
            return self.time
        return PREV if at == "prev" else f"@{at}"

    def dim(self, path: str) -> Dim:
        """Dimension of a variable."""
        return self.context.dims.get(path, NONE)

    def read(self, path: str, at: str | None, span: Span) -> Value:
        """A read of one of the population's variables."""
        variable = self.variables[path]
        self.context.use("variable", path)
        problem = self._private(variable, at)
        if problem is not None:
            code, message, help = problem
            self.context.bag.error(code, message, span, help=help)
            return bad(span)
        if variable.kind is Kind.DEF:
            self.define(path)
            variable = self.variables[path]
        if path in self.params:
            return self.params[path].at(span)
        expr = Ref(path, self.side, self.time_of(at), span)
        return Value(expr, self.dim(path), variable.type, variable.place, span=span)

    def _private(self, variable: Variable, at: str | None) -> tuple[str, str, str] | None:
        name, kind = variable.name, variable.kind
        if variable.path in self.hidden:
            return (
                "E0107",
                f"`{name}` is a `let`, private to the cell's own statements",
                f"write `def {name} = …` in the cell",
            )
        if kind is Kind.LET:
            if self.in_definition or at is not None or not self.building:
                return (
                    "E0107",
                    f"`{name}` is a `let`: it has a value only below its own line in the cell",
                    f"write `def {name} = …`, which is re-evaluated wherever it is read",
                )
            if variable.path not in self.ready:
                return (
                    "E0107",
                    f"`{name}` is read above its `let`",
                    "move the `let` up, or write `def`",
                )
        if at == "prev" and kind not in _REMEMBERED:
            return (
                "E0106",
                f"`{name}` is not remembered from one step to the next",
                "`@prev` works on states, spikes, traces and definitions; store it in a state",
            )
        return None

    def settled(self) -> BodyScope:
        """The same names between steps."""
        other = copy.copy(self)
        other.building = False
        return other

    def defining(self) -> BodyScope:
        """The same names inside a definition."""
        other = copy.copy(self)
        other.in_definition = True
        return other


def _no_definition(path: str) -> None:
    """Replaced by the builder of the cell's definitions."""


def declared_dim(node: ast.TypeRef | None, context: Context) -> Dim:
    """The dimension that a declaration names; unknown where it names none."""
    if node is None:
        return Unknown()
    if node.kind == "unit":
        unit = parse_unit(node.text)
        if unit is not None:
            return unit.dimension
        context.bag.error("E0205", f"unknown unit `{node.text}`", node.span)
        return None
    if node.text not in ("real", "count", "bool"):
        known = ("real", "count", "bool")
        context.unknown("type", node.text, node.span, known)
    return NONE
