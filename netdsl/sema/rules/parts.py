"""Small questions about the body of a rule."""

from __future__ import annotations

from netdsl.diagnostics import Span
from netdsl.ir.expr import Expr, apply


def sum_of(terms: list[tuple[Expr, Span]]) -> Expr:
    """All `dw` lines together."""
    total = terms[0][0]
    for term, span in terms[1:]:
        total = apply("add", total, term, span=span)
    return total
