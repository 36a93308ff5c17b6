"""Distributions and initialisers: what stands after `~`."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

from netdsl.diagnostics import Span
from netdsl.ir.distributions import DISTRIBUTIONS, faults
from netdsl.ir.expr import Expr
from netdsl.ir.network import Draw, Type
from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.scope import Bound, Scope, Thunk
from netdsl.sema.scopes.templates import Argument, Arguments, bind, callee
from netdsl.sema.scopes.units import NONE, Dim, unify
from netdsl.sema.scopes.values import Value, number
from netdsl.syntax import ast

BUILT_IN = (*DISTRIBUTIONS, "gram")
_PLAIN = ("bernoulli", "integer", "poisson", "lognormal", "gamma")  # of numbers without unit


@dataclass(frozen=True)
class Drawn:
    """A draw with its dimension and type."""

    draw: Draw
    dim: Dim
    type: Type


class WeightScope(Bound):
    """Where a weight's start is computed; a parameter may shadow `fan_in` and `fan_out`."""

    def __init__(
        self, parent: Arguments, fan_in: int, fan_out: int, sign: Expr | None = None
    ) -> None:
        self.sign = sign  # of the senders
        self.fans = {"fan_in": number(fan_in), "fan_out": number(fan_out)}
        visible = {k: v for k, v in self.fans.items() if k not in parent.arguments}
        super().__init__(parent.context, parent, visible)
        self.kind = parent.kind

    def find(self, parts: tuple[str, ...], at: str | None, span: Span) -> Value | None:
        if len(parts) == 1 and parts[0] in self.values:
            self.context.hides(parts[0], span, f"`{parts[0]}` is the size of a population")
        return super().find(parts, at, span)

    def library(self) -> WeightScope:
        """The same sizes for an initialiser, which does not see its caller's names."""
        other = copy.copy(self)
        other.parent, other.values = self.context.scope, dict(self.fans)
        return other


def _outside(scope: Scope) -> Scope:
    """The scope of an initialiser's own text."""
    found: Scope | None = scope
    while found is not None and not isinstance(found, WeightScope):
        found = found.parent
    return found.library() if found is not None else scope.context.scope


def build_draw(node: ast.Expr, scope: Scope, stream: str) -> Drawn | None:
    """The draw that an expression after `~` says; None after a report."""
    found = callee(node)
    if found is None:
        scope.context.bag.error(
            "E0104", "a distribution is needed after `~`", node.span, help="as in `uniform(-1, 1)`"
        )
        return None
    name, args, span = found
    if name in BUILT_IN and name in scope.context.declarations.table("initialiser"):
        return None  # its declaration was reported
    if name in DISTRIBUTIONS:
        return _distribution(name, args, node, scope, stream)
    if name == "gram":
        return _gram(args, node, scope, stream)
    if not args and isinstance(node, ast.Name):
        argument = _argument(name, scope)
        if argument is not None:
            return build_draw(argument.node, argument.scope, stream)
    declared = scope.context.declarations.find("initialiser", name)
    if declared is None:
        known = [*DISTRIBUTIONS, *scope.context.declarations.names("initialiser")]
        scope.context.unknown("distribution", name, span, known)
        return None
    scope.context.use("initialiser", name)
    return _initialiser(declared, args, node, scope, stream)


def _argument(name: str, scope: Scope | None) -> Thunk | None:
    """The distribution that a formal parameter stands for."""
    while scope is not None:
        if isinstance(scope, Arguments) and name in scope.arguments:
            found = scope.arguments[name]
            return found if isinstance(found, Thunk) else None
        scope = scope.parent
    return None


def _distribution(
    name: str, args: tuple[ast.Arg, ...], node: ast.Expr, scope: Scope, stream: str
) -> Drawn | None:
    formals = tuple(ast.Param(formal) for formal in DISTRIBUTIONS[name])
    bound = bind(formals, args, scope, f"`{name}`", node.span)
    if bound is None:
        return None
    values = [expressions.translate(bound[f.name].node, scope) for f in formals]
    if any(value.bad for value in values):
        return None
    dim = expressions.same(tuple(values), node, scope)
    if name in _PLAIN and not all(v.is_zero or unify(v.dim, NONE) for v in values):
        scope.context.bag.error("E0201", f"`{name}` takes numbers without unit", node.span)
        return None
    known = {k: v.constant for k, v in enumerate(values) if v.constant is not None}
    for fault, bad in faults(name, known):
        if bad:
            scope.context.bag.error("E0202", fault.message, node.span, help=fault.help)
            return None
    type = {"bernoulli": Type.BOOL, "integer": Type.COUNT, "poisson": Type.COUNT}.get(
        name, Type.REAL
    )
    exprs: tuple[Expr, ...] = tuple(value.expr for value in values)
    return Drawn(Draw(name, exprs, stream, span=node.span), dim, type)


def _gram(args: tuple[ast.Arg, ...], node: ast.Expr, scope: Scope, stream: str) -> Drawn | None:
    if len(args) != 1:
        scope.context.bag.error("E0110", "`gram` takes one distribution", node.span)
        return None
    inner = build_draw(args[0].value, scope, stream)
    return None if inner is None else replace(inner, draw=replace(inner.draw, gram=True))


def _initialiser(
    declared: ast.InitialiserDecl,
    args: tuple[ast.Arg, ...],
    node: ast.Expr,
    scope: Scope,
    stream: str,
) -> Drawn | None:
    if not declared.body and not declared.drawn:
        scope.context.unsupported(
            "initialisers that are not drawn are",
            node.span,
            "write it as `initialiser name() ~ distribution`",
        )
        return None
    bound = bind(declared.params, args, scope, f"`{declared.name}`", node.span)
    if bound is None:
        return None
    home = Arguments(scope.context, _outside(scope), {}, f"initialiser `{declared.name}`")
    arguments: dict[str, Argument] = dict(bound)
    for formal in declared.params:
        if formal.name not in arguments and formal.default is not None:
            arguments[formal.name] = Thunk(formal.default, home)
    home.arguments.update(arguments)
    with scope.context.expansion.of("initialiser", declared.name, declared) as fits:
        drawn = _drawn(declared, home, stream, node.span) if fits else None
    return None if drawn is None else replace(drawn, draw=replace(drawn.draw, span=node.span))


def _drawn(declared: ast.InitialiserDecl, home: Arguments, stream: str, span: Span) -> Drawn | None:
    from netdsl.sema.cells.making import making

    if declared.value is not None:
        return build_draw(declared.value, home, stream)
    return making(declared, home, stream, span)
