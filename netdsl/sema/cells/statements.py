"""Statements of a cell's body, in the order written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from netdsl.diagnostics import Label
from netdsl.ir.expr import Const, Expr, Ref, apply
from netdsl.ir.network import (
    Assign,
    DrawAssign,
    Integrate,
    Kind,
    Place,
    Statement,
    Type,
    Variable,
)
from netdsl.sema.cells import spikes, traces
from netdsl.sema.cells.bodies import BodyScope
from netdsl.sema.cells.draws import build_draw
from netdsl.sema.cells.equations import Equations
from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.components import without_index
from netdsl.sema.scopes.units import Unknown, unify
from netdsl.sema.scopes.values import Value, bad
from netdsl.syntax import ast

_WHY_NOT = {
    Kind.INPUT: "an input is what projections deliver; copy it into a state first",
    Kind.DEF: "a definition is re-evaluated wherever it is read; declare a state instead",
    Kind.LET: "a `let` has one value; declare a state instead",
    Kind.SPIKE: "spikes are set by their own `spike … when` line",
    Kind.PARAM: "parameters are fixed; declare a state instead",
}


class CellStatements:
    """Translates statements; collects the body and the `on phase` assignments."""

    def __init__(self, scope: BodyScope, path: str = "") -> None:
        self.scope = scope
        self.path = path or scope.owner  # of what is made for these statements
        self.context = scope.context
        self.statements: list[Statement] = []
        self.on_phase: list[Assign] = []
        self.equations = Equations(self)
        self.held: dict[str, str] = {}  # state -> refractory counter that freezes it
        self.loose_refractory: ast.Expr | None = None  # written outside the spike's braces
        self._open: list[str] = []
        self.apart: str | None = None  # what is translated here and computed elsewhere
        self.differentiated: list[Ref] = []  # what derivatives read, by what was written

    def run(self, body: list[ast.Statement]) -> None:
        """Translate a whole body."""
        self.equations.collect(body)
        spikes.find_held(body, self)
        for statement in body:
            self.statement(statement)
        for path in self.scope.definitions:
            self.define(path)
        self.equations.finish()

    def statement(self, node: ast.Statement) -> None:
        """One statement of the body."""
        if isinstance(node, ast.Assign):
            found = self.assignment(node, self.scope)
            if found is not None:
                self.emit(found)
        elif isinstance(node, ast.Let):
            self._let(node)
        elif isinstance(node, ast.Draw):
            self._draw(node)
        elif isinstance(node, ast.Integrate):
            self.equations.integrate(node)
        elif isinstance(node, ast.Spike):
            spikes.spike(node, self)
        elif isinstance(node, ast.Trace):
            traces.trace(node, self)
        elif isinstance(node, ast.OnEvent):
            self._on_event(node)
        elif not isinstance(node, _DECLARED):
            self._misplaced(node)

    def emit(self, statement: Statement) -> None:
        """Append a statement; assignments to a held state wait while it is refractory."""
        if isinstance(statement, Assign) and statement.target in self.held:
            counter = Ref(self.held[statement.target])
            keep = Ref(statement.target)
            value = apply("select", apply("gt", counter, Const(0)), keep, statement.value)
            statement = replace(statement, value=value)
        self.statements.append(statement)

    # ------------------------------------------------------------ statements that are added

    @contextmanager
    def elsewhere(self, what: str) -> Iterator[None]:
        """While `what` is translated, which runs at other times than the statements here."""
        outer, self.apart = self.apart, what
        try:
            yield
        finally:
            self.apart = outer

    def before(self) -> tuple[Statement, ...]:
        """The population's statements that have been written down so far."""
        population = self.context.populations.get(self.scope.owner)
        return (*(population.body if population is not None else ()), *self.statements)

    def insert(self, found: list[tuple[int, Statement]]) -> None:
        """Add statements, each in front of the one at its index in `before()`."""
        population = self.context.populations.get(self.scope.owner)
        body = list(population.body) if population is not None else []
        first = len(body)
        found = sorted(found, key=lambda pair: pair[0])
        for index, statement in reversed(found):
            if index < first:
                body.insert(index, statement)
            else:
                self.statements.insert(index - first, statement)
        if population is not None and len(body) > first:
            grown = replace(population, body=tuple(body))
            self.context.populations[self.scope.owner] = grown

    def hidden(self) -> str:
        """The path of a value that no text names."""
        self.context.named += 1
        return f"{self.path}.vjp.{self.context.named}"

    # ------------------------------------------------------------ targets

    def target(self, node: ast.Name | ast.Index) -> Variable | None:
        """The state that a statement assigns to; None after a report."""
        assert isinstance(node, ast.Name)  # vectors are written out
        path = self.scope.paths.get(node.id)
        reported = self.scope.params.get(node.id)
        if reported is not None and reported.bad:
            return None
        vector = self.scope.vector((node.id,))
        if path is None and vector is not None:
            without_index(node.id, vector, node.span, self.scope)
            return None
        if path is None:
            fixed = self.context.declarations.find("param", node.id) is not None
            if fixed or node.id in self.scope.params:
                self._not_assignable(node, Kind.PARAM, None)
            else:
                self.context.unknown("name", node.id, node.span, self.scope.paths, self.scope.kind)
            return None
        variable = self.scope.variables[path]
        self.context.use("assigned", path)
        if variable.kind not in (Kind.STATE, Kind.TRACE, Kind.DRAW):
            self._not_assignable(node, variable.kind, variable)
            return None
        return variable

    def _not_assignable(self, node: ast.Name, kind: Kind, variable: Variable | None) -> None:
        labels = (
            []
            if variable is None or variable.span is None
            else [Label(variable.span, "declared here")]
        )
        what = {Kind.PARAM: "a parameter", Kind.INPUT: "an input", Kind.SPIKE: "a spike variable"}
        self.context.bag.error(
            "E0115",
            f"`{node.id}` is {what.get(kind, f'a `{kind.value}`')} and cannot be assigned",
            node.span,
            *labels,
            help=_WHY_NOT.get(kind),
        )

    def assignment(self, node: ast.Assign, scope: BodyScope) -> Assign | None:
        """`x := e`, checked; None after a report."""
        variable = self.target(node.target)
        value = expressions.translate(node.value, scope)
        if variable is None or value.bad:
            return None
        if not self._fits(variable, value):
            return None
        if not self.context.expansion.written_out(value.expr, node.value):
            return None
        return Assign(variable.path, value.expr, node.span)

    def _fits(self, variable: Variable, value: Value) -> bool:
        message = f"`{variable.name}` is"
        dim = self.context.dims[variable.path]
        return self.one_number(variable, value) and expressions.expect(
            value, dim, message, self.scope
        )

    def one_number(self, variable: Variable, value: Value) -> bool:
        """Whether a value is as many numbers as the variable; reports where it is not."""
        if variable.place is Place.ROW and value.place in (Place.UNIT, Place.NEURON):
            self.context.bag.error(
                "E0208",
                f"`{variable.name}` is one number per population, this is one per neuron",
                value.span,
                help="reduce it, as in `sum(…)`",
            )
            return False
        return True

    # ------------------------------------------------------------ kinds of statement

    def _let(self, node: ast.Let) -> None:
        path = self.scope.paths[node.name]
        value = expressions.translate(node.value, self.scope)
        self.scope.ready.add(path)
        variable = self.scope.variables[path]
        place = self.scope.place(value.place)
        self.scope.variables[path] = replace(variable, place=place, type=value.type)
        self.context.dims[path] = value.dim
        if not value.bad and self.context.expansion.written_out(value.expr, node.value):
            self.emit(Assign(path, value.expr, node.span))

    def define(self, path: str) -> None:
        """Translate a definition at its first use."""
        variable = self.scope.variables[path]
        if variable.definition is not None:
            return
        name = variable.name
        node = self.scope.definitions[path]
        if name in self._open:
            cycle = " -> ".join([*self._open[self._open.index(name) :], name])
            self.context.bag.error(
                "E0109",
                f"`{name}` is defined by itself: {cycle}",
                node.name_span,
                help="store one of them in a state: a state breaks the circle in time",
            )
            self.scope.variables[path] = replace(variable, definition=Const(0.0))
            return
        self._open.append(name)
        with self.elsewhere("a `def`"):
            value = expressions.translate(node.value, self.scope.defining())
        self._open.pop()
        place = Place.ROW if value.place is Place.ROW else Place.UNIT
        unify(self.context.dims[path], value.dim)
        self.scope.variables[path] = replace(
            self.scope.variables[path], definition=value.expr, place=place, type=value.type
        )
        if value.bad:
            self.context.dims[path] = None
        elif not self.context.expansion.written_out(value.expr, node.value, path):
            self.scope.params[path] = bad(node.span)

    def _draw(self, node: ast.Draw) -> None:
        path = self.scope.paths.get(node.target.id)
        if path is None or self.target(node.target) is None:
            return
        drawn = build_draw(node.value, self.scope, path)
        if drawn is None:
            self.context.dims[path] = None
            return
        variable = self.scope.variables[path]
        value = Value(Const(1.0), drawn.dim, span=node.value.span)
        expressions.expect(value, self.context.dims[path], f"`{variable.name}` is", self.scope)
        if variable.kind is Kind.DRAW:
            self.scope.variables[path] = replace(variable, type=drawn.type)
        self.statements.append(DrawAssign(path, drawn.draw, node.span))

    def _on_event(self, node: ast.OnEvent) -> None:
        if node.event != "phase":
            self.context.bag.error(
                "E0104",
                f"a cell has no event `{node.event}`",
                node.span,
                help="cells have `on phase { … }`",
            )
            return
        for inner in node.body:
            if not isinstance(inner, ast.Assign):
                self._misplaced(inner)
                continue
            with self.elsewhere("what is done when a phase begins"):
                found = self.assignment(inner, self.scope.settled())
            if found is not None:
                self.on_phase.append(found)

    def _misplaced(self, node: ast.Statement) -> None:
        if isinstance(node, ast.Setting):
            self.context.bag.error(
                "E0114",
                f"`{node.name} = …` means nothing in a cell",
                node.name_span,
                help=f"write `{node.name} := …` to change a state, `let` or `def` for a value",
            )
            return
        word = type(node).__name__.lower()
        self.context.bag.error("E0104", f"`{word}` does not belong in a cell", node.span)

    def counter(self, name: str, what: ast.Node) -> str:
        """Declare a hidden per-neuron counter that starts at 0."""
        path = f"{self.scope.name}.{name}"
        self.scope.variables[path] = Variable(
            path, Kind.STATE, Place.UNIT, Type.COUNT, self.scope.name, Const(0), span=what.span
        )
        self.context.dims[path] = Unknown()
        return path

    def integrate(self, statement: Integrate) -> None:
        """Append an `Integrate`, with held states put back while they are refractory."""
        lets: list[tuple[str, str]] = []
        for path, _ in statement.equations:
            if path in self.held:
                let = f"{path}.held"
                self.scope.variables[let] = Variable(
                    let, Kind.LET, Place.UNIT, owner=self.scope.name, span=statement.span
                )
                self.statements.append(Assign(let, Ref(path), statement.span))
                lets.append((path, let))
        self.statements.append(statement)
        for path, let in lets:
            refractory: Expr = apply("gt", Ref(self.held[path]), Const(0))
            value = apply("select", refractory, Ref(let), Ref(path))
            self.statements.append(Assign(path, value, statement.span))


_DECLARED = (
    ast.Param,
    ast.Input,
    ast.State,
    ast.Def,
    ast.Ode,
    ast.Expose,
    ast.Refractory,
    ast.Surrogate,
    ast.Waive,
)
