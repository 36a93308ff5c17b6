"""Symbolic derivatives of expressions, with the conventions stated in `netdsl.ir.functions`."""

from __future__ import annotations

from collections.abc import Callable

from netdsl.ir.expr import (
    NOW,
    SETTLED,
    Apply,
    Const,
    Expr,
    Load,
    Local,
    Reduce,
    Ref,
    apply,
    children,
    walk,
)

ZERO = Const(0.0)
ONE = Const(1.0)


class DerivativeError(Exception):
    """An expression that has no derivative along one unit; `term` is the part that stops it."""

    def __init__(self, message: str, term: Expr) -> None:
        super().__init__(message)
        self.message, self.term = message, term


def derivative(expr: Expr, path: str) -> Expr:
    """d expr / d path, where `path` names a variable (`Ref`), buffer (`Load`) or local.

    Reads of earlier steps (`@prev`), of delayed arrivals and of phases are constants. relu'(0) = 0,
    clip' = 0 at and beyond its ends, abs'(0) = 0, max and min take the second argument's slope at a
    tie. Raises DerivativeError for a reduction that depends on `path`.
    """
    if _is_leaf(expr, path):
        return ONE
    if not depends(expr, path):
        return ZERO
    if isinstance(expr, Reduce):
        raise DerivativeError(
            f"a {expr.kind} over {expr.axis} has no derivative along one unit", expr
        )
    assert isinstance(expr, Apply)
    slopes = tuple(derivative(arg, path) for arg in expr.args)
    rule = _RULES.get(expr.function)
    if rule is None:
        raise DerivativeError(f"`{expr.function}` has no derivative", expr)
    return rule(expr, expr.args, slopes)


def depends(expr: Expr, path: str) -> bool:
    """Does an expression read the present value of `path`?"""
    return any(_is_leaf(node, path) for node in walk(expr) if not children(node))


def _is_leaf(expr: Expr, path: str) -> bool:
    if isinstance(expr, Ref):
        return expr.path == path and expr.time in (NOW, SETTLED)
    if isinstance(expr, Load):
        return expr.buffer == path
    return isinstance(expr, Local) and expr.name == path


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


def _select(condition: Expr, a: Expr, b: Expr) -> Expr:
    return a if a == b else apply("select", condition, a, b)


Args = tuple[Expr, ...]
Rule = Callable[[Apply, Args, Args], Expr]


def _div(_: Apply, a: Args, d: Args) -> Expr:
    first = over(d[0], a[1])
    return minus(first, over(times(a[0], d[1]), times(a[1], a[1])))


def _pow(node: Apply, a: Args, d: Args) -> Expr:
    base, exponent = a
    if d[1] == ZERO:
        if isinstance(exponent, Const):
            reduced = exponent.value - 1
            lower = base if reduced == 1 else apply("pow", base, Const(reduced))
            lower = ONE if reduced == 0 else lower
        else:
            lower = apply("pow", base, apply("sub", exponent, ONE))
        return times(times(exponent, lower), d[0])
    slope = plus(times(d[1], apply("log", base)), over(times(exponent, d[0]), base))
    return times(node, slope)


def _clip(_: Apply, a: Args, d: Args) -> Expr:
    x, low, high = a
    if d[1] == ZERO and d[2] == ZERO:
        inside = apply("and", apply("gt", x, low), apply("lt", x, high))
        return _select(inside, d[0], ZERO)
    upper = _select(apply("ge", x, high), d[2], d[0])
    return _select(apply("le", x, low), d[1], upper)


def _sigmoid(node: Apply, _: Args, d: Args) -> Expr:
    return times(times(node, apply("sub", ONE, node)), d[0])


def _tanh(node: Apply, _: Args, d: Args) -> Expr:
    return times(apply("sub", ONE, times(node, node)), d[0])


def _logit(_: Apply, a: Args, d: Args) -> Expr:
    return over(d[0], times(a[0], apply("sub", ONE, a[0])))


def _flat(_: Apply, __: Args, ___: Args) -> Expr:
    return ZERO


_RULES: dict[str, Rule] = {
    "add": lambda n, a, d: plus(d[0], d[1]),
    "sub": lambda n, a, d: minus(d[0], d[1]),
    "mul": lambda n, a, d: plus(times(d[0], a[1]), times(a[0], d[1])),
    "div": _div,
    "neg": lambda n, a, d: negative(d[0]),
    "pow": _pow,
    "mod": lambda n, a, d: d[0],
    "select": lambda n, a, d: _select(a[0], d[1], d[2]),
    "min": lambda n, a, d: _select(apply("lt", *a), d[0], d[1]),
    "max": lambda n, a, d: _select(apply("gt", *a), d[0], d[1]),
    "clip": _clip,
    "abs": lambda n, a, d: times(apply("sign", a[0]), d[0]),
    "exp": lambda n, a, d: times(n, d[0]),
    "log": lambda n, a, d: over(d[0], a[0]),
    "sqrt": lambda n, a, d: over(d[0], times(Const(2.0), n)),
    "sin": lambda n, a, d: times(apply("cos", a[0]), d[0]),
    "cos": lambda n, a, d: negative(times(apply("sin", a[0]), d[0])),
    "tanh": _tanh,
    "sigmoid": _sigmoid,
    "relu": lambda n, a, d: _select(apply("gt", a[0], ZERO), d[0], ZERO),
    "logit": _logit,
} | dict.fromkeys(
    ("sign", "floor", "floordiv", "lt", "le", "gt", "ge", "eq", "ne", "and", "or", "not"), _flat
)
