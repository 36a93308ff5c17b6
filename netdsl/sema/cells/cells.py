"""Cells: the declaration of a population's parameters and variables."""

from __future__ import annotations

from dataclasses import replace

from netdsl.diagnostics import Label, Span, did_you_mean
from netdsl.ir.expr import Const, Expr, Ref
from netdsl.ir.network import Draw, Kind, Place, Population, Type, Variable
from netdsl.sema.cells.bodies import declared_dim
from netdsl.sema.cells.draws import build_draw
from netdsl.sema.cells.populations import PopulationScope, variable_type
from netdsl.sema.cells.statements import CellStatements
from netdsl.sema.cells.types import TYPE, declare_type, types_of
from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.params import param_value, plain
from netdsl.sema.scopes.units import NONE, Dim, Unknown
from netdsl.sema.scopes.values import Value, bad
from netdsl.sema.scopes.vectors import expanded
from netdsl.syntax import ast


def elaborate_population(node: ast.PopulationDecl, context: Context) -> None:
    """Elaborate one population; its scope goes to `context.cells`, itself to `populations`."""
    cell = context.declarations.find("neuron", node.cell.name)
    axes = _axes(node, context)
    if cell is None:
        known = [*context.declarations.names("neuron"), "std.one"]
        context.unknown("neuron", node.cell.name, node.cell.span, known)
        context.bag.poison("population", node.name)
        return
    context.use("neuron", cell.name)
    scope = PopulationScope(context, node.name, cell.name, axes)
    context.cells[node.name] = scope
    types = types_of(node, axes, context)
    declare_type(node, types, scope)
    builder = CellBuilder(node, cell, scope)
    body = builder.build()
    context.populations[node.name] = Population(
        node.name,
        cell.name,
        axes,
        types,
        scope.variables,
        tuple(body.statements),
        tuple(body.on_phase),
        node.span,
        shuffled=node.shuffled and bool(types),
    )


def _axes(node: ast.PopulationDecl, context: Context) -> tuple[tuple[str, int], ...]:
    axes = []
    for dim in node.dims:
        what = f"the size of `{node.name}`"
        length = expressions.whole(dim.size, context.scope, what, least=1)
        axes.append((dim.name or "", length if length is not None else 1))
    return tuple(axes)


class CellBuilder:
    """Parameters and variables first, then the statements in the order written."""

    def __init__(
        self, node: ast.PopulationDecl, cell: ast.NeuronDecl, scope: PopulationScope
    ) -> None:
        self.node, self.cell, self.scope = node, cell, scope
        self.context = scope.context
        self.initial = scope.initial()
        self.places: dict[str, Span] = {}
        if node.types:
            self.places[TYPE] = node.types[0].span.to(node.types[-1].span)
        self.refused: set[int] = set()  # declarations of names that others have

    def build(self) -> CellStatements:
        """Fill the scope and translate the body."""
        body = self._inherited(self.cell, [])
        formals = [s for s in body if isinstance(s, ast.Param)]
        for param in (*self.cell.params, *formals):
            self._param(param)
        self._unknown_overrides()
        statements = expanded(self._flatten(body), self.scope, self.scope.vectors)
        for statement in statements:
            self._declare(statement)
        statements = [s for s in statements if id(s) not in self.refused]
        for statement in statements:
            self._start_value(statement)
        self._expose(statements)
        result = CellStatements(self.scope)
        self.scope.define = result.define
        self.context.steps = result
        result.run(statements)
        self.context.steps = None
        return result

    def _inherited(self, cell: ast.NeuronDecl, seen: list[str]) -> list[ast.Statement]:
        body: list[ast.Statement] = []
        for statement in cell.body:
            if not isinstance(statement, ast.Extends):
                body.append(statement)
                continue
            parent = self.context.declarations.find("neuron", statement.parent.name)
            if parent is None:
                self.context.unknown(
                    "neuron",
                    statement.parent.name,
                    statement.parent.span,
                    self.context.declarations.names("neuron"),
                )
            elif parent.name in [*seen, cell.name]:
                self.context.bag.error("E0109", f"`{cell.name}` extends itself", statement.span)
            else:
                self.context.use("neuron", parent.name)
                body = [*parent.params, *self._inherited(parent, [*seen, cell.name]), *body]
        return body

    def _flatten(self, body: list[ast.Statement] | ast.Body) -> list[ast.Statement]:
        flat: list[ast.Statement] = []
        for statement in body:
            if not isinstance(statement, ast.WhenBody):
                flat.append(statement)
                continue
            found = expressions.constant(statement.condition, self.initial, "the condition")
            if found.bad:
                continue
            chosen = self._flatten(self.context.choose(statement, bool(found.constant)))
            for inner in chosen:
                if isinstance(inner, ast.Param):
                    self._param(inner)
            flat.extend(chosen)
        return flat

    # ------------------------------------------------------------ parameters

    def _param(self, param: ast.Param) -> None:
        if not self._fresh(param.name, param.name_span):
            return
        scope, node = self.scope, self.node
        path = f"{node.name}.{param.name}"
        setting = next((s for s in node.overrides if s.name == param.name), None)
        instead = setting.value if setting is not None else None
        if param.per is None and not param.drawn:
            paths = (path, f"{self.cell.name}.{param.name}")
            value = param_value(param, paths, self.initial, instead=instead)
            varies = value.place is not Place.GLOBAL
            if not varies or value.bad:
                if not value.bad and value.constant is None and value.text is None:
                    self._not_fixed(param)
                scope.params[param.name] = value
                self.context.params[path] = plain(value)
                return
            self._per_neuron(param, path, value.expr, value.dim)
            return
        if param.per not in (None, "neuron"):
            self.context.bag.error("E0104", "a cell's parameter is `per neuron`", param.span)
        self._drawn_param(param, path, instead)

    def _not_fixed(self, param: ast.Param) -> None:
        self.context.bag.error(
            "E0106",
            f"parameter `{param.name}` is fixed, but its value changes while running",
            param.span,
            help="use `let`: it is re-evaluated where it is read",
        )

    def _drawn_param(self, param: ast.Param, path: str, instead: ast.Expr | None) -> None:
        if param.drawn and instead is None and param.default is not None:
            drawn = build_draw(param.default, self.initial, path)
            if drawn is not None:
                self._per_neuron(param, path, drawn.draw, drawn.dim, drawn.type)
            else:
                self.scope.params[param.name] = bad(param.span)
            return
        value = param_value(
            param, (path, f"{self.cell.name}.{param.name}"), self.initial, instead=instead
        )
        self._per_neuron(param, path, value.expr, value.dim)

    def _per_neuron(
        self, param: ast.Param, path: str, init: Expr | Draw, dim: Dim, type: Type = Type.REAL
    ) -> None:
        self.scope.variables[path] = Variable(
            path, Kind.PARAM, Place.NEURON, type, self.node.name, init, span=param.name_span
        )
        self.context.dims[path] = dim
        self.scope.params[param.name] = Value(
            Ref(path), dim, type, Place.NEURON, span=param.name_span
        )

    def _unknown_overrides(self) -> None:
        for setting in self.node.overrides:
            if setting.name not in self.scope.params:
                self.context.bag.error(
                    "E0110",
                    f"cell `{self.cell.name}` has no parameter `{setting.name}`",
                    setting.name_span,
                    help=did_you_mean(setting.name, self.scope.params),
                )

    # ------------------------------------------------------------ variables

    def _fresh(self, name: str, span: Span) -> bool:
        if name in self.places:
            if self.places[name] != span:
                self.context.bag.error(
                    "E0102",
                    f"`{name}` is declared twice in {self.scope.kind}",
                    span,
                    Label(self.places[name], "first declared here"),
                )
            return False
        self.places[name] = span
        return True

    def _add(self, node: ast.Named, kind: Kind, place: Place, type: Type, dim: Dim) -> None:
        if not self._fresh(node.name, node.name_span):
            self.refused.add(id(node))
            self.scope.params[node.name] = bad(node.span)  # whichever was meant
            return
        path = f"{self.scope.name}.{node.name}"
        keep = isinstance(node, ast.State) and node.keep
        self.scope.paths[node.name] = path
        self.scope.variables[path] = Variable(
            path, kind, place, type, self.scope.name, keep=keep, span=node.name_span
        )
        self.context.dims[path] = dim

    def _declare(self, statement: ast.Statement) -> None:
        unit = Place.UNIT
        if isinstance(statement, ast.Input):
            dim = declared_dim(statement.type, self.context)
            self._add(statement, Kind.INPUT, unit, variable_type(statement.type), dim)
        elif isinstance(statement, ast.State):
            self._state(statement)
        elif isinstance(statement, ast.Let):
            self._add(statement, Kind.LET, unit, Type.REAL, Unknown())
        elif isinstance(statement, ast.Def):
            self._add(statement, Kind.DEF, unit, Type.REAL, Unknown())
            if id(statement) not in self.refused:
                self.scope.definitions[f"{self.scope.name}.{statement.name}"] = statement
        elif isinstance(statement, ast.Spike):
            self._add(statement, Kind.SPIKE, unit, Type.BOOL, NONE)
        elif isinstance(statement, ast.Trace):
            self._add(statement, Kind.TRACE, unit, Type.REAL, Unknown())
        elif isinstance(statement, ast.Draw) and statement.target.id not in self.places:
            drawn = ast.Named(
                statement.target.id, name_span=statement.target.span, span=statement.span
            )
            self._add(drawn, Kind.DRAW, unit, Type.REAL, Unknown())

    def _state(self, node: ast.State) -> None:
        if node.level == "projection" or node.per is not None:
            self.context.bag.error(
                "E0104", "a cell has states per neuron, or one `population state`", node.span
            )
        place = Place.ROW if node.level == "population" else Place.UNIT
        self._add(
            node, Kind.STATE, place, variable_type(node.type), declared_dim(node.type, self.context)
        )

    def _start_value(self, node: ast.Statement) -> None:
        if not isinstance(node, ast.State):
            return
        path = f"{self.scope.name}.{node.name}"
        if node.drawn:
            drawn = build_draw(node.init, self.initial, path)
            init: Expr | Draw = drawn.draw if drawn is not None else Const(0.0)
            dim: Dim = drawn.dim if drawn is not None else None
            value = Value(Const(1.0), dim, span=node.init.span)
        else:
            value = expressions.translate(node.init, self.initial)
            init = value.expr
        variable = self.scope.variables[path]
        expressions.expect(value, self.context.dims[path], f"state `{node.name}` is", self.scope)
        if variable.place is Place.ROW and value.place is not Place.GLOBAL:
            self.context.bag.error(
                "E0208", f"`{node.name}` is one number per population and sample", node.init.span
            )
        self.scope.variables[path] = replace(variable, init=init)

    def _expose(self, statements: list[ast.Statement]) -> None:
        for statement in statements:
            for name in statement.names if isinstance(statement, ast.Expose) else ():
                path = self.scope.paths.get(name.name)
                if path is None:
                    self.context.unknown(
                        "variable", name.name, name.span, self.scope.paths, self.scope.kind
                    )
                else:
                    self.scope.variables[path] = replace(self.scope.variables[path], exposed=True)
