"""Definitions in the places where they are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from netdsl.ir.expr import NOW, PREV, SETTLED, Expr, Ref, transform
from netdsl.ir.network import Kind, Variable


def write_out(
    expr: Expr, variables: Mapping[str, Variable], keep: str = "", *, earlier: bool = False
) -> Expr:
    """The expression with definitions replaced by what they stand for, but for that of `keep`.

    `earlier`: also those read `@prev`, by the earlier values of what they read.
    """

    def visit(node: Expr) -> Expr | None:
        if not isinstance(node, Ref) or node.path == keep:
            return None
        variable = variables.get(node.path)
        if variable is None or variable.kind is not Kind.DEF or variable.definition is None:
            return None
        if node.time in (NOW, SETTLED):
            return write_out(variable.definition, variables, keep, earlier=earlier)
        if earlier and node.time == PREV:
            return _earlier(write_out(variable.definition, variables, earlier=True))
        return None

    return transform(expr, visit)


def _earlier(expr: Expr) -> Expr:
    def visit(node: Expr) -> Expr | None:
        return replace(node, time=PREV) if isinstance(node, Ref) and node.time == NOW else None

    return transform(expr, visit)
