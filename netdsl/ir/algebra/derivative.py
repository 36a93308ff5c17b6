"""Symbolic derivatives of expressions, with the conventions stated in `netdsl.ir.functions`."""

from __future__ import annotations

from netdsl.ir.algebra.build import ONE, ZERO, times
from netdsl.ir.expr import (
    NOW,
    SETTLED,
    Apply,
    Const,
    Custom,
    Expr,
    Load,
    Local,
    Reduce,
    Ref,
    apply,
    children,
    walk,
)
from netdsl.ir.functions import FUNCTIONS


class DerivativeError(Exception):
    """An expression that has no derivative along one unit; `term` is the part that stops it."""

    def __init__(self, message: str, term: Expr) -> None:
        super().__init__(message)
        self.message, self.term = message, term


def derivative(expr: Expr, path: str) -> Expr:
    """d expr / d path, where `path` names a variable (`Ref`), buffer (`Load`) or local.

    Reads of earlier steps (`@prev`), of delayed arrivals, of phases and of other slots are
    constants. relu'(0) = 0, clip' = 0 at and beyond its ends, abs'(0) = 0, max and min take the
    second argument's slope at a tie. Raises DerivativeError for a reduction that depends on `path`.
    """
    if _is_leaf(expr, path):
        return ONE
    if not depends(expr, path):
        return ZERO
    if isinstance(expr, Custom):
        if expr.slope == ZERO:  # detached, whatever it is
            return ZERO
        return times(expr.slope, derivative(expr.argument, path))
    if isinstance(expr, Reduce):
        raise DerivativeError(
            f"a {expr.kind} over {expr.axis} has no derivative along one unit", expr
        )
    assert isinstance(expr, Apply)
    slopes = tuple(derivative(arg, path) for arg in expr.args)
    row = FUNCTIONS.get(expr.function)
    if row is None:
        raise DerivativeError(f"`{expr.function}` has no derivative", expr)
    return row.slope(expr, expr.args, slopes)


def handed_back(kind: str, back: Expr, value: Expr, result: Expr, count: int) -> Expr | None:
    """What a reduction hands back to each of the values that it reduced; None for nothing.

    `back` is the derivative by `result`. Of a max or min each value that equals it gets the whole.
    """
    if kind == "mean":
        return apply("div", back, Const(float(count)))
    if kind in ("max", "min"):
        return apply("select", apply("eq", value, result), back, ZERO)
    return back if kind == "sum" else None


def depends(expr: Expr, path: str) -> bool:
    """Does an expression read the present value of `path`?"""
    return any(_is_leaf(node, path) for node in walk(expr) if not children(node))


def _is_leaf(expr: Expr, path: str) -> bool:
    if isinstance(expr, Ref):
        return expr.path == path and expr.time in (NOW, SETTLED) and not expr.slot
    if isinstance(expr, Load):
        return expr.buffer == path
    return isinstance(expr, Local) and expr.name == path
