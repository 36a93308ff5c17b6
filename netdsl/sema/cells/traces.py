"""Traces of a cell: instances of `trace` declarations, most of them of the library."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from netdsl.ir.expr import Ref
from netdsl.ir.network import Assign
from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.params import param_value
from netdsl.sema.scopes.scope import Bound
from netdsl.sema.scopes.templates import bind
from netdsl.sema.scopes.units import NONE
from netdsl.sema.scopes.values import Value
from netdsl.syntax import ast

if TYPE_CHECKING:
    from netdsl.sema.cells.statements import CellStatements

DEFAULT = "decaying"


def trace(node: ast.Trace, cell: CellStatements) -> None:
    """`trace z of s { tau = 13 ms; jump = set }` or `… using NAME(args)`."""
    scope, context = cell.scope, cell.context
    name = node.using.name if node.using is not None else DEFAULT
    declared = context.declarations.find("trace", name)
    source = expressions.translate(node.of, scope)
    if declared is None:
        assert node.using is not None
        context.unknown("trace", name, node.using.span, context.declarations.names("trace"))
        return
    path = f"{scope.name}.{node.name}"
    args, rest = _settings(node)
    for inner in rest:
        context.bag.error(
            "E0104",
            "a trace has settings only",
            inner.span,
            help="as in `{ tau = 20 ms; jump = set }`",
        )
    bound = bind(declared.params, args, scope, f"trace `{name}`", node.span)
    if source.bad or bound is None:
        context.dims[path] = None
        return
    context.dims[path] = NONE if source.dim is None else source.dim
    of = source.expr.path if isinstance(source.expr, Ref) else None
    scope.variables[path] = replace(scope.variables[path], of=of)
    for own_name in ("source", "value"):
        context.hides(own_name, declared.name_span, f"`{own_name}` belongs to the trace")
    inside = Bound(context, context.scope, {"source": source})
    inside.kind = f"trace `{name}`"
    for formal in declared.params:
        argument = bound.get(formal.name)
        inside.values[formal.name] = param_value(
            formal,
            (f"{path}.{formal.name}",),
            inside,
            instead=argument.node if argument is not None else None,
            instead_scope=scope,
        )
    own = Value(Ref(path, scope.side), context.dims[path], place=scope.whole, span=node.span)
    inside.values["value"] = own
    _body(declared.body, path, inside, cell, node)


def _settings(node: ast.Trace) -> tuple[tuple[ast.Arg, ...], list[ast.Node]]:
    args = tuple(
        ast.Arg(inner.value, inner.name, span=inner.name_span)
        for inner in node.body
        if isinstance(inner, ast.Setting)
    )
    rest: list[ast.Node] = [i for i in node.body if not isinstance(i, ast.Setting)]
    return args, rest


def _body(body: ast.Body, path: str, inside: Bound, cell: CellStatements, node: ast.Trace) -> None:
    for statement in body:
        if isinstance(statement, ast.Let):
            inside.values[statement.name] = expressions.translate(statement.value, inside)
        elif isinstance(statement, ast.WhenBody):
            condition = expressions.constant(statement.condition, inside, "the condition")
            chosen = statement.body if condition.constant else statement.otherwise
            _body(chosen, path, inside, cell, node)
        elif isinstance(statement, ast.Assign) and statement.target == ast.Name("value"):
            value = expressions.translate(statement.value, inside)
            if not value.bad:
                cell.emit(Assign(path, value.expr, node.span))
        else:
            cell.context.bag.error(
                "E0104", "a trace has `let`s and assignments to `value`", statement.span
            )
