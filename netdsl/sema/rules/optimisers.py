"""Optimisers: an `optimiser` declaration, instantiated for one projection."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.diagnostics import Span
from netdsl.ir.expr import Expr, Ref
from netdsl.ir.network import Assign, Kind, Optimiser, Place, Variable
from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.scope import Scope, Thunk
from netdsl.sema.scopes.templates import Argument, Arguments, bind, callee
from netdsl.sema.scopes.values import Value
from netdsl.syntax import ast

_MANY = {
    Place.SYNAPSE: "one per synapse",
    Place.ROW: "one per sample",
    Place.UNIT: "one per unit and sample",
    Place.NEURON: "one per unit",
}


class OptimiserScope(Scope):
    """`g`, the weight and the optimiser's own states."""

    def __init__(self, context: Context, prefix: str, weight: tuple[str, str], name: str) -> None:
        super().__init__(context, context.scope)
        self.prefix, self.weight = prefix, weight
        self.kind = f"optimiser `{name}`"
        self.variables: dict[str, Variable] = {}
        self.lets: dict[str, Value] = {}

    def find(self, parts: tuple[str, ...], at: str | None, span: Span) -> Value | None:
        name, path = parts[0], f"{self.prefix}.{parts[0]}"
        if len(parts) == 1 and at is None:
            if name in self.lets:
                return self.lets[name].at(span)
            if name == "g":
                self.context.hides("g", span, "`g` is the change that the rule asks for")
                return Value(Ref(path, "synapse", span=span), None, place=Place.SYNAPSE, span=span)
            if path in self.variables:
                place = self.variables[path].place
                return Value(Ref(path, "synapse", span=span), None, place=place, span=span)
            if name in ("w", self.weight[0]):
                self.context.hides(name, span, f"`{name}` is the weight")
                expr = Ref(self.weight[1], "synapse", span=span)
                return Value(expr, None, place=Place.SYNAPSE, span=span)
        return super().find(parts, at, span)

    def names(self) -> Iterator[str]:
        yield "g"
        yield from (variable.name for variable in self.variables.values())
        yield from (*self.lets, "w")
        yield from super().names()


def optimiser(
    node: ast.Expr, caller: Scope, projection: str, weight: tuple[str, str]
) -> Optimiser | None:
    """`optimise adam(rate = eta)` for the weight (name, path) of a projection."""
    context = caller.context
    found = callee(node)
    if found is None:
        context.bag.error(
            "E0104", "an optimiser is named here, as in `adam(rate = 0.001)`", node.span
        )
        return None
    name, args, span = found
    declared = context.declarations.find("optimiser", name)
    if declared is None:
        context.unknown("optimiser", name, span, context.declarations.names("optimiser"))
        return None
    context.use("optimiser", name)
    bound = bind(declared.params, args, caller, f"optimiser `{name}`", node.span)
    if bound is None:
        return None
    states = OptimiserScope(context, f"{projection}.{name}", weight, name)
    home = Arguments(context, states, {}, states.kind)
    arguments: dict[str, Argument] = dict(bound)
    for formal in declared.params:
        if formal.name not in arguments and formal.default is not None:
            arguments[formal.name] = Thunk(formal.default, home)
    home.arguments.update(arguments)
    return _Body(declared, states, home, projection).build()


class _Body:
    def __init__(
        self,
        declared: ast.OptimiserDecl,
        states: OptimiserScope,
        home: Arguments,
        projection: str,
    ) -> None:
        self.declared, self.states, self.home = declared, states, home
        self.projection = projection
        self.context = states.context
        self.statements: list[Assign] = []
        self.change: Expr | None = None

    def build(self) -> Optimiser | None:
        self._run(self.declared.body)
        if self.change is None:
            self.context.bag.error(
                "E0116",
                f"optimiser `{self.declared.name}` has no `change = …`",
                self.declared.name_span,
                help="`change` is what is added to the weight",
            )
            return None
        return Optimiser(
            self.declared.name,
            self.states.variables,
            tuple(self.statements),
            self.change,
            f"{self.states.prefix}.g",
        )

    def _run(self, body: ast.Body) -> None:
        for node in body:
            if isinstance(node, ast.State):
                self._state(node)
            elif isinstance(node, ast.Let):
                self.states.lets[node.name] = expressions.translate(node.value, self.home)
            elif isinstance(node, ast.Assign):
                self._assign(node)
            elif isinstance(node, ast.WhenBody):
                found = expressions.constant(node.condition, self.home, "the condition")
                if not found.bad:
                    self._run(self.context.choose(node, bool(found.constant)))
            elif isinstance(node, ast.Setting):
                self._setting(node)
            else:
                self.context.bag.error(
                    "E0104", "an optimiser has states, assignments and `change = …`", node.span
                )

    def _setting(self, node: ast.Setting) -> None:
        if node.name != "change":
            self.context.bag.error(
                "E0114",
                f"`{node.name} = …` means nothing in an optimiser",
                node.name_span,
                help="`change = …` is what is added to the weight",
            )
            return
        self.change = expressions.translate(node.value, self.home).expr

    def _state(self, node: ast.State) -> None:
        path = f"{self.states.prefix}.{node.name}"
        shared = node.level == "projection"
        init = expressions.constant(node.init, self.home, "a start value")
        self.states.variables[path] = Variable(
            path,
            Kind.OPTIMISER,
            Place.GLOBAL if shared else Place.SYNAPSE,
            owner=self.projection,
            init=init.expr,
            span=node.name_span,
        )
        self.context.dims[path] = None

    def _assign(self, node: ast.Assign) -> None:
        name = node.target.id if isinstance(node.target, ast.Name) else ""
        path = f"{self.states.prefix}.{name}"
        value = expressions.translate(node.value, self.home)
        if path not in self.states.variables:
            known = [v.name for v in self.states.variables.values()]
            self.context.unknown("state", name or "?", node.target.span, known, self.states.kind)
            return
        variable = self.states.variables[path]
        if variable.place is Place.GLOBAL and value.place is not Place.GLOBAL:
            self.context.bag.error(
                "E0208",
                f"`{name}` is one number per projection, this is {_MANY[value.place]}",
                node.value.span,
            )
        elif not value.bad:
            self.statements.append(Assign(path, value.expr, node.span))
