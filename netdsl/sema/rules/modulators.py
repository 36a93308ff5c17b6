"""Modulators: one instance per population, its statements at the end of the population's body."""

from __future__ import annotations

import copy
from dataclasses import replace

from netdsl.diagnostics import Span
from netdsl.ir.expr import Const, Expr, Ref, refs
from netdsl.ir.network import Assign, Kind, Modulator, Place, Type, Variable
from netdsl.sema.cells.populations import PopulationScope, variable_type
from netdsl.sema.cells.statements import CellStatements
from netdsl.sema.cells.types import same_for_a_type
from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.scope import dotted
from netdsl.sema.scopes.units import Unknown
from netdsl.sema.scopes.values import Value
from netdsl.syntax import ast

SCOPES = ("global", "population", "celltype", "neuron")


def elaborate_modulator(node: ast.ModulatorDecl, context: Context) -> None:
    """Elaborate all instances of a modulator."""
    if node.params or node.per is not None or not node.on:
        context.dead.add(node.name)
    if node.params or node.per is not None:
        context.unsupported(
            "modulator templates and modulators per slot are",
            node.name_span,
            "write one modulator `on` the populations it is for",
        )
        return
    if not node.on:
        context.unsupported(
            "modulators without a population are",
            node.name_span,
            "put it `on` the population whose values it reads",
        )
        return
    for ref in node.on:
        scope = context.cells.get(ref.name)
        if scope is None:
            if not context.bag.is_poisoned("population", ref.name):
                context.unknown("population", ref.name, ref.span, context.cells)
            context.modulators.setdefault(node.name, {})
            continue
        context.use("population", ref.name)
        _Instance(node, scope, context).build()


class _Instance:
    def __init__(
        self, node: ast.ModulatorDecl, population: PopulationScope, context: Context
    ) -> None:
        self.node, self.context = node, context
        self.population = population
        self.path = f"{node.name}.{population.name}"
        self.scope = copy.copy(population)
        self.scope.paths = dict(population.paths)
        self.scope.kind = f"modulator `{node.name}`"
        lets = {p for p, v in population.variables.items() if v.kind is Kind.LET}
        self.scope.hidden = lets
        self.emit: tuple[Value, Span] | None = None
        self.level = "population"
        self.reads: tuple[str, ...] | None = None

    def build(self) -> None:
        body = self._flatten(self.node.body)
        for statement in body:
            self._declare(statement)
        statements = CellStatements(self.scope)
        for statement in body:
            self._statement(statement, statements)
        if self.emit is None:
            self.context.bag.error(
                "E0116",
                f"modulator `{self.node.name}` emits nothing",
                self.node.name_span,
                help="add `emit …`",
            )
            return
        self._finish(statements)

    def _flatten(self, body: ast.Body) -> list[ast.Statement]:
        flat: list[ast.Statement] = []
        for node in body:
            if isinstance(node, ast.WhenBody):
                found = expressions.constant(node.condition, self.scope, "the condition")
                if not found.bad:
                    chosen = self.context.choose(node, bool(found.constant))
                    flat.extend(self._flatten(chosen))
            else:
                flat.append(node)
        return flat

    def _declare(self, node: ast.Statement) -> None:
        if isinstance(node, ast.Let):
            self._add(node, Kind.LET, Place.UNIT, Type.REAL)
        elif isinstance(node, ast.State):
            row = node.level == "population"
            type = variable_type(node.type)
            path = self._add(node, Kind.STATE, Place.ROW if row else Place.UNIT, type)
            init = expressions.translate(node.init, self.population.initial())
            if node.drawn:
                self.context.unsupported(
                    "drawn states of modulators are", node.span, "draw in the cell"
                )
            self.population.variables[path] = replace(
                self.population.variables[path], init=init.expr, keep=node.keep
            )

    def _add(self, node: ast.Named, kind: Kind, place: Place, type: Type) -> str:
        path = f"{self.path}.{node.name}"
        self.scope.paths[node.name] = path
        self.population.variables[path] = Variable(
            path, kind, place, type, self.population.name, span=node.name_span
        )
        self.context.dims[path] = Unknown()
        return path

    def _statement(self, node: ast.Statement, statements: CellStatements) -> None:
        if isinstance(node, ast.Scope):
            self._level(node)
        elif isinstance(node, ast.Emit):
            self._emit(node)
        elif isinstance(node, ast.Reads):
            self._reads(node)
        elif isinstance(node, ast.Let | ast.Assign):
            statements.statement(node)
        elif not isinstance(node, ast.State | ast.Waive):
            self.context.unsupported(
                "dynamics of this kind in a modulator are",
                node.span,
                "compute it in the cell and read it here",
            )

    def _level(self, node: ast.Scope) -> None:
        if node.level not in SCOPES:
            self.context.unknown("scope", node.level, node.span, SCOPES)
        else:
            self.level = node.level

    def _emit(self, node: ast.Emit) -> None:
        if node.vector:
            self.context.unsupported("vector modulators are", node.span, "emit one number")
        if self.emit is not None:
            self.context.bag.error("E0102", "a modulator emits once", node.span)
            return
        self.emit = (expressions.translate(node.value, self.scope), node.value.span)

    def _reads(self, node: ast.Reads) -> None:
        names = []
        for value in node.values:
            expressions.translate(value, self.scope)
            found = dotted(value)
            names.append(".".join(found[0]) if found is not None else "")
        self.reads = (*(self.reads or ()), *names)

    def _finish(self, statements: CellStatements) -> None:
        assert self.emit is not None
        value, span = self.emit
        neuron = self.level in ("neuron", "celltype")
        if self.level == "celltype":
            self._by_type(value, statements, span)
        if not neuron and value.place in (Place.UNIT, Place.NEURON):
            self.context.bag.error(
                "E0208",
                f"`scope {self.level}` needs one number, this is one per neuron",
                span,
                help=self._to_one_number(),
            )
        population = self.context.populations.get(self.population.name)
        variable = Variable(
            self.path,
            Kind.MODULATOR,
            Place.UNIT if neuron else Place.ROW,
            owner=self.population.name,
            span=self.node.name_span,
        )
        self.population.variables[self.path] = variable
        self.context.dims[self.path] = value.dim
        emitted = Assign(self.path, value.expr, span)
        if population is not None:
            body = (*population.body, *statements.statements, emitted)
            self.context.populations[population.name] = replace(population, body=body)
        instance = Modulator(
            self.node.name, self.population.name, self.level, self.path, value.expr, self.node.span
        )
        self.context.modulators.setdefault(self.node.name, {})[self.population.name] = instance
        self._closed([*statements.statements, emitted])

    def _by_type(self, value: Value, statements: CellStatements, span: Span) -> None:
        """One number for each type, however it was computed."""
        assigned = {s.target: s.value for s in statements.statements if isinstance(s, Assign)}

        def seen(path: str) -> Expr | None:
            variable = self.population.variables.get(path)
            if variable is None or variable.place in (Place.ROW, Place.GLOBAL):
                return Const(0.0)
            return assigned.get(path) if variable.kind is Kind.LET else variable.definition

        name = self.population.name
        if not same_for_a_type(value.expr, f"{name}.type", seen):
            self.context.bag.error(
                "E0652",
                "`scope celltype` needs one number for each type, this is one per neuron",
                span,
                help="reduce it, as in `mean(… by type)`, or write `scope neuron`",
            )

    def _to_one_number(self) -> str:
        """How to emit one number: an own state of every neuron is often what stands in the way."""
        for variable in self.population.variables.values():
            own = variable.path.startswith(f"{self.path}.") and variable.kind is Kind.STATE
            if own and variable.place is Place.UNIT:
                return f"write `population state {variable.name} = …`: one number per sample"
        return "reduce it, as in `sum(…)`, or write `scope neuron`"

    def _closed(self, statements: list[object]) -> None:
        """What the modulator's `reads` list leaves out may not be read."""
        if self.reads is None:
            return
        for statement in statements:
            for ref in refs(statement.value) if isinstance(statement, Assign) else ():
                self._listed(ref)

    def _listed(self, ref: Ref) -> None:
        own = ref.path.startswith(f"{self.path}.")
        variable = self.population.variables.get(ref.path)
        network = self.context.variables.get(ref.path)
        name = variable.name if variable is not None else ref.path
        shared = network is not None and network.kind is not Kind.SAMPLE
        constant = variable is not None and variable.kind is Kind.PARAM
        if (
            own
            or shared
            or constant
            or name in (self.reads or ())
            or ref.path in (self.reads or ())
        ):
            return
        if ref.path.split(".")[0] in self.context.modulators:
            return
        self.context.bag.error(
            "E0118",
            f"modulator `{self.node.name}` reads `{name}`, which its `reads` list does not name",
            ref.span or self.node.name_span,
            help=f"add `{name}` to the list, or do not read it",
        )
