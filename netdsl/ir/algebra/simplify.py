"""Rewrites that a reader of the generated code would make by hand, beyond the exact ones.

A literal factor moves through a division by a literal (`dt * ((j - v) / tau)` becomes
`(dt / tau) * (j - v)`), a product with 0 is 0, a square of a leaf is a product, and the negative of
a difference is the difference turned round.
"""

from __future__ import annotations

import math

from netdsl.ir.algebra import fold as exact
from netdsl.ir.expr import Apply, Const, Expr, children


def simplify(expr: Expr) -> Expr:
    """An equal, shorter expression; only products with literals are rounded anew."""
    return exact.simplify(expr, _RULES)


def _mul(node: Apply) -> Expr:
    left, right = node.args
    for factor, other in ((left, right), (right, left)):
        if isinstance(factor, Const):
            if factor.value == 0:
                return Const(0.0, node.span)
            return _scaled(float(factor.value), other) or node
    return node


def _scaled(factor: float, expr: Expr) -> Expr | None:
    """`factor * (x / c)` and `factor * (c * x)` with one literal; None when nothing is gained."""
    if not isinstance(expr, Apply):
        return None
    first, last = expr.args[0], expr.args[-1]
    if expr.function == "div" and isinstance(last, Const) and last.value != 0:
        whole, rest = factor / float(last.value), first
    elif expr.function == "mul" and isinstance(first, Const):
        whole, rest = factor * float(first.value), last
    else:
        return None
    return Apply("mul", (Const(whole), rest), expr.span) if math.isfinite(whole) else None


def _neg(node: Apply) -> Expr:
    inner = node.args[0]
    if isinstance(inner, Apply) and inner.function == "sub":
        return Apply("sub", (inner.args[1], inner.args[0]), node.span)
    return node


def _pow(node: Apply) -> Expr:
    base, power = node.args
    if isinstance(power, Const) and power.value == 2 and not children(base):
        return Apply("mul", (base, base), node.span)
    return node


_RULES: dict[str, exact.Rule] = {"mul": _mul, "neg": _neg, "pow": _pow}
