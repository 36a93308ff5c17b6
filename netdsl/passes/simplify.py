"""Fold constants and drop neutral elements, without changing any other rounding.

Only rewrites that a reader of the generated code would make by hand: arithmetic on literals,
`x * 1`, `x + 0`, and a literal factor moved through a division by a literal
(`dt * ((j - v) / tau)` becomes `(dt / tau) * (j - v)`).
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable

from netdsl.ir.expr import Apply, Const, Expr, Reduce, children, rebuild

_FOLD: dict[str, Callable[..., float]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "floordiv": operator.floordiv,
    "mod": operator.mod,
    "pow": operator.pow,
    "neg": operator.neg,
    "abs": abs,
    "min": min,
    "max": max,
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
    "eq": operator.eq,
    "ne": operator.ne,
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
}


def simplify(expr: Expr) -> Expr:
    """An equal, shorter expression."""
    parts = tuple(simplify(part) for part in children(expr))
    if isinstance(expr, Apply):
        return _apply(Apply(expr.function, parts, expr.span))
    if isinstance(expr, Reduce):
        return rebuild(expr, parts)
    return expr


def _number(expr: Expr) -> float | int | bool | None:
    return expr.value if isinstance(expr, Const) else None


def _apply(node: Apply) -> Expr:
    values = [_number(arg) for arg in node.args]
    fold = _FOLD.get(node.function)
    if fold is not None and all(value is not None for value in values):
        try:
            return Const(fold(*values), node.span)
        except (ArithmeticError, ValueError):
            return node  # left for run time, where it is inf or nan as IEEE says
    rule = _RULES.get(node.function)
    return rule(node, values) if rule is not None else node


Values = list[float | int | bool | None]


def _add(node: Apply, values: Values) -> Expr:
    if values[0] == 0:
        return node.args[1]
    if values[1] == 0:
        return node.args[0]
    right = node.args[1]
    if isinstance(right, Apply) and right.function == "neg":
        return Apply("sub", (node.args[0], right.args[0]), node.span)
    return node


def _sub(node: Apply, values: Values) -> Expr:
    if values[1] == 0:
        return node.args[0]
    if values[0] == 0:
        return _apply(Apply("neg", (node.args[1],), node.span))
    return node


def _mul(node: Apply, values: Values) -> Expr:
    for here, other in ((0, 1), (1, 0)):
        if values[here] == 1:
            return node.args[other]
        if values[here] == 0:
            return Const(0.0, node.span)
    for here, other in ((0, 1), (1, 0)):
        scaled = _scale(values[here], node.args[other])
        if scaled is not None:
            return scaled
    return node


def _scale(factor: float | int | bool | None, expr: Expr) -> Expr | None:
    """`factor * (x / c)` and `factor * (c * x)` with one literal; None when nothing is gained."""
    if factor is None or not isinstance(expr, Apply):
        return None
    if expr.function == "div" and isinstance(expr.args[1], Const) and expr.args[1].value != 0:
        return Apply("mul", (Const(factor / expr.args[1].value), expr.args[0]), expr.span)
    if expr.function == "mul" and isinstance(expr.args[0], Const):
        return Apply("mul", (Const(factor * expr.args[0].value), expr.args[1]), expr.span)
    return None


def _div(node: Apply, values: Values) -> Expr:
    return node.args[0] if values[1] == 1 else node


def _neg(node: Apply, values: Values) -> Expr:
    inner = node.args[0]
    if isinstance(inner, Apply) and inner.function == "neg":
        return inner.args[0]
    if isinstance(inner, Apply) and inner.function == "sub":
        return Apply("sub", (inner.args[1], inner.args[0]), node.span)
    return node


def _pow(node: Apply, values: Values) -> Expr:
    if values[1] == 1:
        return node.args[0]
    if values[1] == 2 and not children(node.args[0]):
        return Apply("mul", (node.args[0], node.args[0]), node.span)
    return node


def _select(node: Apply, values: Values) -> Expr:
    if values[0] is not None:
        return node.args[1] if values[0] else node.args[2]
    return node


_RULES: dict[str, Callable[[Apply, Values], Expr]] = {
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "neg": _neg,
    "pow": _pow,
    "select": _select,
}
