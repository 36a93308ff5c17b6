"""Small questions about the body of a rule."""

from __future__ import annotations

from netdsl.diagnostics import Span
from netdsl.ir.expr import Expr, apply
from netdsl.syntax import ast


def has_update(body: ast.Body) -> bool:
    """Whether any branch has an `at update` block."""
    for node in body:
        if isinstance(node, ast.AtUpdate):
            return True
        if isinstance(node, ast.WhenBody) and (has_update(node.body) or has_update(node.otherwise)):
            return True
    return False


def sum_of(terms: list[tuple[Expr, Span]]) -> Expr:
    """All `dw` lines together."""
    total = terms[0][0]
    for term, span in terms[1:]:
        total = apply("add", total, term, span=span)
    return total
