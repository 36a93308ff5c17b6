"""Small builders of expressions that leave out zeros and ones."""

from __future__ import annotations

from netdsl.ir.expr import Apply, Const, Expr, apply

ZERO = Const(0.0)
ONE = Const(1.0)


def plus(a: Expr, b: Expr) -> Expr:
    """a + b, without zeros."""
    if a == ZERO:
        return b
    return a if b == ZERO else apply("add", a, b)


def minus(a: Expr, b: Expr) -> Expr:
    """a - b, without zeros."""
    if b == ZERO:
        return a
    return negative(b) if a == ZERO else apply("sub", a, b)


def times(a: Expr, b: Expr) -> Expr:
    """a * b, without zeros and ones."""
    if ZERO in (a, b):
        return ZERO
    if a == ONE:
        return b
    if b == ONE:
        return a
    if isinstance(a, Const) and isinstance(b, Const):
        return Const(a.value * b.value)
    return apply("mul", a, b)


def over(a: Expr, b: Expr) -> Expr:
    """a / b, without zeros and ones."""
    if a == ZERO or b == ONE:
        return a
    return apply("div", a, b)


def negative(a: Expr) -> Expr:
    """-a."""
    if isinstance(a, Const):
        return Const(-a.value)
    if isinstance(a, Apply) and a.function == "neg":
        return a.args[0]
    return apply("neg", a)


def choose(condition: Expr, a: Expr, b: Expr) -> Expr:
    """a where the condition holds, else b."""
    return a if a == b else apply("select", condition, a, b)
