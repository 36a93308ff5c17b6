"""Spikes: threshold crossing, resets, refractoriness and surrogate derivatives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netdsl.ir.expr import NOW, PREV, Apply, Const, Expr, Ref, apply
from netdsl.ir.network import Assign, Kind, Place, Spike, Variable
from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.scope import Bound
from netdsl.sema.scopes.templates import bind, callee
from netdsl.sema.scopes.values import Value
from netdsl.syntax import ast

if TYPE_CHECKING:
    from netdsl.sema.cells.statements import CellStatements


def find_held(body: list[ast.Statement], cell: CellStatements) -> None:
    """Declare the refractory counters and note which states they freeze, before translation."""
    found = [node for node in body if isinstance(node, ast.Spike)]
    loose = [node for node in body if isinstance(node, ast.Refractory)]
    for spike_node in found:
        own = [node for node in spike_node.body if isinstance(node, ast.Refractory)]
        for node in own + (loose if spike_node is found[0] else []):
            counter = cell.counter(f"{spike_node.name}.refractory", node)
            for name in node.hold:
                path = cell.scope.paths.get(name.name)
                if path is None:
                    cell.context.unknown(
                        "name", name.name, name.span, cell.scope.paths, cell.scope.kind
                    )
                else:
                    cell.held[path] = counter
    cell.loose_refractory = loose[0].duration if loose else None
    if loose and not found:
        cell.context.bag.error("E0104", "`refractory` needs a `spike` in its cell", loose[0].span)


def spike(node: ast.Spike, cell: CellStatements) -> None:
    """`spike s when c { resets; refractory n step; surrogate f(…) }`."""
    scope, path = cell.scope, f"{cell.scope.name}.{node.name}"
    condition = expressions.translate(node.condition, scope)
    if condition.bad:
        return
    margin = _margin(condition.expr)
    counter = f"{path}.refractory"
    refractory = scope.variables.get(counter)
    fires = condition.expr
    if refractory is not None:
        fires = apply("and", fires, apply("le", Ref(counter), Const(0)), span=node.condition.span)
    surrogate = _surrogate(node, margin, cell)
    cell.statements.append(Spike(path, fires, margin, surrogate, node.span))
    for inner in node.body:
        _consequence(inner, path, cell)
    if refractory is not None:
        _count_down(node, path, counter, cell)


def _consequence(inner: ast.Statement, spike_path: str, cell: CellStatements) -> None:
    if isinstance(inner, ast.Assign):
        found = cell.assignment(inner, cell.scope)
        if found is not None:
            value = apply("select", Ref(spike_path), found.value, Ref(found.target))
            cell.statements.append(Assign(found.target, value, found.span))
    elif not isinstance(inner, ast.Refractory | ast.Surrogate):
        cell.context.bag.error(
            "E0104",
            "only assignments, `refractory` and `surrogate` follow a spike",
            inner.span,
            help=f"a state is changed with `{inner.name} := …`"
            if isinstance(inner, ast.Setting)
            else None,
        )


def _count_down(node: ast.Spike, path: str, counter: str, cell: CellStatements) -> None:
    """The counter is set by a spike, else it goes down by one each step."""
    duration = _duration(node, cell)
    if duration is None:
        return
    less = apply("max", apply("sub", Ref(counter), Const(1)), Const(0))
    value = apply("select", Ref(path), Const(duration), less)
    cell.statements.append(Assign(counter, value, node.span))


def _duration(node: ast.Spike, cell: CellStatements) -> int | None:
    found = [inner for inner in node.body if isinstance(inner, ast.Refractory)]
    duration = found[0].duration if found else cell.loose_refractory
    if duration is None:
        return None
    value = expressions.constant(duration, cell.scope, "a refractory time")
    return cell.context.scope.steps(value, "the refractory time")


def _margin(condition: Expr) -> Expr:
    """A number that is positive where the condition holds."""
    function, args = "", (condition, condition)
    if isinstance(condition, Apply) and len(condition.args) == 2:
        function, args = condition.function, (condition.args[0], condition.args[1])
    if function in ("gt", "ge"):
        return apply("sub", args[0], args[1])
    if function in ("lt", "le"):
        return apply("sub", args[1], args[0])
    if function == "and":
        return apply("min", _margin(args[0]), _margin(args[1]))
    if function == "or":
        return apply("max", _margin(args[0]), _margin(args[1]))
    return apply("select", condition, Const(1.0), Const(-1.0))


def _surrogate(node: ast.Spike, margin: Expr, cell: CellStatements) -> Expr | None:
    """The surrogate's derivative by the margin, kept for `grad(s, …)`; 0 while refractory."""
    found = [inner for inner in node.body if isinstance(inner, ast.Surrogate)]
    if not found:
        return None
    scope, call = cell.scope, callee(found[0].function)
    if call is None:
        cell.context.bag.error("E0104", "a surrogate is a function of the margin", found[0].span)
        return None
    name, args, span = call
    declared = cell.context.declarations.find("function", name)
    if declared is None:
        declared = cell.context.declarations.find("function", f"std.{name}")
    if declared is None:
        cell.context.unknown(
            "surrogate", name, span, [*cell.context.declarations.names("function"), "triangle"]
        )
        return None
    path = f"{scope.name}.{node.name}"
    stored = f"{path}.margin"
    scope.variables[stored] = Variable(
        stored, Kind.STATE, Place.UNIT, owner=scope.name, init=Const(0.0), span=node.span
    )
    value = _evaluate(declared, stored, args, cell, found[0])
    if value is None or value.bad:
        return None
    cell.statements.append(Assign(stored, margin, node.span))
    counter = f"{path}.refractory"

    def while_ready(time: str) -> Expr:
        if counter not in scope.variables:
            return value.expr
        ready = apply("le", Ref(counter, time=time), Const(0))
        return apply("select", ready, value.expr, Const(0.0))

    scope.surrogates[path] = (margin, while_ready(PREV))  # read below, the counter is already set
    return while_ready(NOW)


def _evaluate(
    declared: ast.Function,
    stored: str,
    args: tuple[ast.Arg, ...],
    cell: CellStatements,
    node: ast.Surrogate,
) -> Value | None:
    margin, *formals = declared.params
    bound = bind(tuple(formals), args, cell.scope, f"`{declared.name}`", node.span)
    if bound is None:
        return None
    values = {margin.name: Value(Ref(stored), None, place=Place.UNIT, span=node.span)}
    for formal in formals:
        argument = bound[formal.name].node if formal.name in bound else formal.default
        assert argument is not None
        values[formal.name] = expressions.translate(argument, cell.scope)
    return expressions.translate(declared.value, Bound(cell.context, cell.context.scope, values))
