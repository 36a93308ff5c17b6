"""Modulators: one instance per population, its statements at the end of the population's body."""

from __future__ import annotations

import copy
from dataclasses import replace

from netdsl.diagnostics import Span
from netdsl.ir.expr import Const, Expr, Index, Reduce, Ref, apply, refs
from netdsl.ir.network import Assign, Integrate, Kind, Modulator, Place, Statement, Type, Variable
from netdsl.sema.cells.populations import PopulationScope, variable_type
from netdsl.sema.cells.statements import CellStatements
from netdsl.sema.cells.types import same_for_a_type
from netdsl.sema.rules.alone import AloneBuilder
from netdsl.sema.scopes import expressions, pairs, reach, slots
from netdsl.sema.scopes.components import MAX_LENGTH, named
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.scope import dotted
from netdsl.sema.scopes.units import Unknown, unify
from netdsl.sema.scopes.values import Value
from netdsl.sema.scopes.vectors import expanded
from netdsl.syntax import ast

SCOPES = ("global", "population", "celltype", "neuron")


def elaborate_modulator(node: ast.ModulatorDecl, context: Context) -> None:
    """Elaborate all instances of a modulator."""
    if node.params:
        context.dead.add(node.name)
        context.unsupported(
            "modulator templates are",
            node.name_span,
            "write one modulator `on` the populations it is for",
        )
        return
    to = _receivers(node, context)
    if not node.on:
        AloneBuilder(node, to, context).build()
        return
    # Populations of branches that are not taken are none; what is on no other reaches nobody.
    elsewhere = context.declarations.elsewhere()
    node = replace(node, on=tuple(ref for ref in node.on if ref.name not in elsewhere))
    context.modulators.setdefault(node.name, {})
    memory = context.memories.get(node.slot.memory.name) if node.slot is not None else None
    if node.slot is not None and memory is not None and memory.kind == "window":
        context.unsupported(
            "modulators on a population with a number for each slot of a window are",
            node.slot.span,
            "leave out `on`, and read its variables as `P.x[p]`, reduced",
        )
        context.dead.add(node.name)
        return
    for ref in node.on:
        scope = context.cells.get(ref.name)
        if scope is None:
            if not context.bag.is_poisoned("population", ref.name):
                context.unknown("population", ref.name, ref.span, context.cells)
            context.modulators.setdefault(node.name, {})
            continue
        context.use("population", ref.name)
        _Instance(node, scope, context, to).build()


def declare_vectors(context: Context) -> None:
    """Tell how long vector modulators are, before anything reads one."""
    for node in context.declarations.table("modulator").values():
        sizes = [s.width() for ref in node.on if (s := context.cells.get(ref.name)) is not None]
        vector = any(isinstance(part, ast.Emit) and part.vector for part in ast.walk(node))
        if vector and sizes and sizes[0] is not None:
            context.vectors[node.name] = sizes[0]


def _receivers(node: ast.ModulatorDecl, context: Context) -> tuple[str, ...]:
    """The populations that a modulator names after `to`."""
    found = []
    for receiver in node.to:
        ref = receiver.population
        if ref.name in context.cells:
            context.use("population", ref.name)
            found.append(ref.name)
        elif _is_alone(ref.name, context):
            found.append(ref.name)
        elif not context.bag.is_poisoned("population", ref.name):
            context.unknown("population", ref.name, ref.span, context.cells)
    if found and len(node.on) > 1:
        context.bag.error(
            "E0171",
            f"modulator `{node.name}` has a number for each of {len(node.on)} populations: which of"
            " them is sent?",
            node.to[0].span,
            help="write one modulator for each population that sends",
        )
    return tuple(found)


def _is_alone(name: str, context: Context) -> bool:
    """Whether a modulator on no population has this name."""
    node = context.declarations.table("modulator").get(name)
    return isinstance(node, ast.ModulatorDecl) and not node.on


def _values(statement: Statement) -> list[Expr]:
    """What a statement of a modulator computes."""
    if isinstance(statement, Integrate):
        return [rate for _, rate in statement.equations]
    return [statement.value] if isinstance(statement, Assign) else []


class _Instance:
    def __init__(
        self,
        node: ast.ModulatorDecl,
        population: PopulationScope,
        context: Context,
        to: tuple[str, ...],
    ) -> None:
        self.node, self.context, self.to = node, context, to
        self.population = population
        self.path = f"{node.name}.{population.name}"
        self.scope = copy.copy(population)
        self.scope.paths = dict(population.paths)
        self.scope.kind = f"modulator `{node.name}`"
        lets = {p for p, v in population.variables.items() if v.kind is Kind.LET}
        self.scope.hidden = lets
        self.scope.is_cell = False
        self.scope.vectors = dict(population.vectors)
        slot = slots.modulators_slot(node, self.scope) if node.slot is not None else None
        self.scope.slots = {node.slot.name: slot} if node.slot is not None and slot else {}
        self.memory = slot.memory if slot is not None else ""
        if node.other is not None and slot is not None:
            pairs.other(node, slot, self.scope)
        self.emit: tuple[Value, Span] | None = None
        self.vector = False
        self.level = "population"
        self.reads: tuple[str, ...] | None = None

    def build(self) -> None:
        body = expanded(self._flatten(self.node.body), self.scope, self.scope.vectors)
        for statement in body:
            self._declare(statement)
        statements = self.context.steps = CellStatements(self.scope, self.path)
        statements.equations.collect(body)
        for statement in body:
            self._statement(statement, statements)
        statements.equations.finish()
        self.context.steps = None
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
        elif isinstance(node, ast.Let | ast.Assign | ast.Integrate):
            statements.statement(node)
        elif not isinstance(node, ast.State | ast.Ode | ast.Waive):
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
        self.vector = node.vector
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
        if self.level == "neuron" and (self.to or self.vector):
            self.context.bag.error(
                "E0172",
                "`scope neuron` is one number for each neuron of the modulator's own population",
                span,
                help="reduce it and write `scope population`, or send it through a projection",
            )
        if self.level == "celltype":
            self._by_type(value, statements, span)
        self._global(statements, span)
        unit = value.place in (Place.UNIT, Place.NEURON)
        if self.vector:
            emitted = self._components(value, span)
        elif not unit or self.level in ("neuron", "celltype"):
            emitted = [self._emitted(self.node.name, value.expr, value, span)]
        else:
            emitted = []
            self.context.bag.error(
                "E0208",
                f"`scope {self.level}` needs one number, this is one per neuron",
                span,
                help=self._to_one_number(),
            )
        population = self.context.populations.get(self.population.name)
        if population is not None:
            body = (*population.body, *statements.statements, *emitted)
            self.context.populations[population.name] = replace(population, body=body)
        self._closed([*statements.statements, *emitted], statements.differentiated)

    def _emitted(self, name: str, expr: Expr, value: Value, span: Span) -> Assign:
        """One number that is emitted: its variable, its instance, and the last statement."""
        path = reach.emitted(name, self.population.name)
        each = self.level in ("neuron", "celltype")
        place = Place.UNIT if each else Place.ROW
        self.population.variables[path] = Variable(
            path, Kind.MODULATOR, place, owner=self.population.name, span=self.node.name_span
        )
        unify(self.context.dims.setdefault(path, Unknown()), value.dim)
        instance = Modulator(
            name,
            self.population.name,
            self.level,
            path,
            expr,
            self.node.span,
            self.to,
            tuple(r.population.name for r in self.node.to if r.cells),
            self.memory,
        )
        self.context.modulators.setdefault(name, {})[self.population.name] = instance
        return Assign(path, expr, span)

    def _components(self, value: Value, span: Span) -> list[Assign]:
        """`emit vector e`: the value of each neuron, as a component that has its index."""
        size = self.population.width() or 0
        if value.bad:
            return []
        if size > MAX_LENGTH:
            self.context.bag.error(
                "E0168",
                f"`{self.population.name}` has {size} neurons: a vector has at most {MAX_LENGTH} "
                "components",
                span,
                help="send what is one for each of many through a projection",
            )
            return []
        found = []
        for place in range(size):
            here = apply("eq", Index(None, "own", span), Const(place), span=span)
            one = apply("select", here, value.expr, Const(0.0), span=span)
            expr = Reduce("sum", "population", one, span)
            found.append(self._emitted(named(self.node.name, place), expr, value, span))
        return found

    def _global(self, statements: CellStatements, span: Span) -> None:
        """One number for all is none for each of several populations (E0350)."""
        if self.level != "global" or len(self.node.on) < 2:
            return
        values = [value for s in statements.statements for value in _values(s)]
        assert self.emit is not None
        for ref in (ref for value in (*values, self.emit[0].expr) for ref in refs(value)):
            variable = self.population.variables.get(ref.path)
            own = ref.path.startswith(f"{self.path}.")
            if variable is None or own or variable.kind is Kind.PARAM:
                continue
            if self.context.bag.poison("E0350", self.node.name):
                self.context.bag.error(
                    "E0350",
                    f"`{variable.name}` differs between {', '.join(r.name for r in self.node.on)}:"
                    f" modulator `{self.node.name}` is one number for each, and not global",
                    ref.span or span,
                    help="write `scope population`, or a modulator on one of them `to` the others",
                )

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

    def _closed(self, statements: list[Statement], differentiated: list[Ref]) -> None:
        """What the modulator's `reads` list leaves out may not be read."""
        if self.reads is None:
            return
        written = [s for s in statements if not isinstance(s, Assign) or not self._hidden(s.target)]
        found = [ref for s in written for value in _values(s) for ref in refs(value)]
        for ref in (*found, *differentiated):
            if not self._hidden(ref.path):
                self._listed(ref)

    def _hidden(self, path: str) -> bool:
        """Is this a value that the compiler made, in the course of a derivative?"""
        return path.startswith(f"{self.path}.vjp.")

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
