"""Arguments of the functions that take them by position."""

from __future__ import annotations

from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.scope import Scope
from netdsl.sema.scopes.values import Value
from netdsl.syntax import ast


def positional(
    node: ast.Call, scope: Scope, least: int, most: int | None = None
) -> tuple[Value, ...] | None:
    """Translated arguments of a function that takes them by position."""
    args = tuple(expressions.translate(arg.value, scope) for arg in node.args)
    most = least if most is None else most
    if not least <= len(args) <= most:
        wanted = str(least) if least == most else f"{least} to {most}"
        scope.context.bag.error(
            "E0110", f"`{node.func.name}` takes {wanted} arguments, here are {len(args)}", node.span
        )
        return None
    return args
