"""Constant folding and exact identities of expressions.

Only rewrites that keep every bit of the result (up to the sign of a zero) are made; nothing is
reassociated. A pass may add rules of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from netdsl.ir.expr import Apply, Const, Expr, children, rebuild
from netdsl.ir.functions import fold

Rule = Callable[[Apply], Expr]


def number(expr: Expr) -> float | None:
    """The value of a constant, else None."""
    return float(expr.value) if isinstance(expr, Const) else None


def simplify(expr: Expr, more: Mapping[str, Rule] | None = None) -> Expr:
    """An equal expression with constants folded and neutral operands dropped.

    `more`: further rules by function, applied to what the exact ones leave.
    """
    parts = tuple(simplify(child, more) for child in children(expr))
    if not isinstance(expr, Apply):
        return rebuild(expr, parts) if parts else expr
    values = [number(part) for part in parts]
    known = [value for value in values if value is not None]
    if len(known) == len(values):
        try:
            return Const(float(fold(expr.function, *known)), expr.span)
        except (ArithmeticError, ValueError):
            return rebuild(expr, parts)
    result = _identity(Apply(expr.function, parts, expr.span), values)
    rule = more.get(result.function) if more and isinstance(result, Apply) else None
    return rule(result) if rule is not None and isinstance(result, Apply) else result


def _identity(expr: Apply, values: list[float | None]) -> Expr:
    rule = _IDENTITIES.get(expr.function)
    return expr if rule is None else rule(expr, expr.args, values)


def _negated(expr: Expr) -> Expr | None:
    return expr.args[0] if isinstance(expr, Apply) and expr.function == "neg" else None


def _add(expr: Apply, args: tuple[Expr, ...], values: list[float | None]) -> Expr:
    if values[0] == 0:
        return args[1]
    if values[1] == 0:
        return args[0]
    for first, second in (args, args[::-1]):
        inner = _negated(second)
        if inner is not None:
            return Apply("sub", (first, inner), expr.span)
    return expr


def _sub(expr: Apply, args: tuple[Expr, ...], values: list[float | None]) -> Expr:
    if values[1] == 0:
        return args[0]
    if values[0] == 0:
        return Apply("neg", (args[1],), expr.span)
    inner = _negated(args[1])
    return expr if inner is None else Apply("add", (args[0], inner), expr.span)


def _mul(expr: Apply, args: tuple[Expr, ...], values: list[float | None]) -> Expr:
    for value, other in ((values[0], args[1]), (values[1], args[0])):
        if value == 1:
            return other
        if value == -1:
            return Apply("neg", (other,), expr.span)
    return expr


def _div(expr: Apply, args: tuple[Expr, ...], values: list[float | None]) -> Expr:
    return args[0] if values[1] == 1 else expr


def _pow_identity(expr: Apply, args: tuple[Expr, ...], values: list[float | None]) -> Expr:
    return args[0] if values[1] == 1 else expr


def _neg(expr: Apply, args: tuple[Expr, ...], values: list[float | None]) -> Expr:
    return _negated(args[0]) or expr


def _select(expr: Apply, args: tuple[Expr, ...], values: list[float | None]) -> Expr:
    return expr if values[0] is None else args[1] if values[0] else args[2]


_IDENTITIES: dict[str, Callable[[Apply, tuple[Expr, ...], list[float | None]], Expr]] = {
    "add": _add,
    "sub": _sub,
    "mul": _mul,
    "div": _div,
    "pow": _pow_identity,
    "neg": _neg,
    "select": _select,
}
