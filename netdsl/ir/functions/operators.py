"""Rows of the operators, and of what printers make of some of them."""

from __future__ import annotations

import math

from netdsl.ir.algebra.build import ONE, ZERO, choose, minus, negative, over, plus, times
from netdsl.ir.expr import Apply, Const, Expr, apply
from netdsl.ir.functions.row import Args, Fold, Function, Number, Slope, flat, helped, ufunc


def _div(_: Apply, a: Args, d: Args) -> Expr:
    first = over(d[0], a[1])
    return minus(first, over(times(a[0], d[1]), times(a[1], a[1])))


def _mod(_: Apply, a: Args, d: Args) -> Expr:
    return minus(d[0], times(apply("floordiv", *a), d[1]))


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


def _select(_: Apply, a: Args, d: Args) -> Expr:
    """As `c * a + (1 - c) * b`: a spike that decides between two values carries its surrogate."""
    return plus(choose(a[0], d[1], d[2]), times(d[0], minus(a[1], a[2])))


def _power(a: Number, b: Number) -> Number:
    if b == 0.5:
        return math.sqrt(a)  # as it is computed
    if abs(a) > 1 and b > 63:
        a, b = float(a), float(b)  # a whole number would be long, and long in the making
    value = a**b
    if isinstance(value, complex):
        raise ValueError("the result is not a real number")
    return value


def _arithmetic(
    name: str, symbol: str, level: int, units: str, fold: Fold, function: str, slope: Slope
) -> Function:
    real = name in ("div", "pow")
    c = f"({{0}} {symbol} {{1}})"
    return Function(
        name, 2, "real" if real else "same", f"a {symbol} b", units, fold,
        ufunc(f"np.{function}", 2), c, slope, symbol=symbol, level=level, user=False,
    )  # fmt: skip


def _comparison(name: str, symbol: str, fold: Fold, function: str) -> Function:
    c = f"({{0}} {symbol} {{1}})"
    return Function(
        name, 2, "bool", f"a {symbol} b", "compare", fold, ufunc(f"np.{function}", 2), c,
        symbol=symbol, level=3, user=False,
    )  # fmt: skip


# The floor of the quotient, and what it leaves: Python's and NumPy's, from the exact remainder.
_REST = "fmod{f}({a}, {b})"
_MOD = f"floor_rest_{{s}}({_REST}, {{b}})"
_FLOORDIV = f"floor_quotient_{{s}}({{a}}, {{b}}, {_REST})"

ROWS = (
    _arithmetic("add", "+", 4, "alike", lambda a, b: a + b, "add",
                lambda n, a, d: plus(d[0], d[1])),
    _arithmetic("sub", "-", 4, "alike", lambda a, b: a - b, "subtract",
                lambda n, a, d: minus(d[0], d[1])),
    _arithmetic("mul", "*", 5, "product", lambda a, b: a * b, "multiply",
                lambda n, a, d: plus(times(d[0], a[1]), times(a[0], d[1]))),
    _arithmetic("div", "/", 5, "quotient", lambda a, b: a / b, "divide", _div),
    Function("floordiv", 2, "same", "the largest whole number not above a / b", "quotient",
             lambda a, b: a // b, ufunc("np.floor_divide", 2), helped("floordiv", 2), flat,
             _FLOORDIV, symbol="//", level=5, user=False),
    Function("mod", 2, "same", "what a // b leaves of a, with the sign of b", "alike",
             lambda a, b: a % b, ufunc("np.remainder", 2), helped("mod", 2), _mod,
             _MOD, symbol="%", level=5, user=False),
    Function("pow", 2, "real", "a ^ b", "power", _power, ufunc("np.power", 2), "pow{f}({0}, {1})",
             _pow, vector="2, 22", symbol="^", level=7, user=False),
    Function("neg", 1, "same", "-a", "keep", lambda a: -a, ufunc("np.negative"), "(-{0})",
             lambda n, a, d: negative(d[0]), user=False),
    _comparison("lt", "<", lambda a, b: a < b, "less"),
    _comparison("le", "<=", lambda a, b: a <= b, "less_equal"),
    _comparison("gt", ">", lambda a, b: a > b, "greater"),
    _comparison("ge", ">=", lambda a, b: a >= b, "greater_equal"),
    _comparison("eq", "==", lambda a, b: a == b, "equal"),
    _comparison("ne", "!=", lambda a, b: a != b, "not_equal"),
    Function("and", 2, "bool", "a and b", "any", lambda a, b: bool(a and b),
             ufunc("np.logical_and", 2), "({0} & {1})", symbol="and", level=2, user=False),
    Function("or", 2, "bool", "a or b", "any", lambda a, b: bool(a or b),
             ufunc("np.logical_or", 2), "({0} | {1})", symbol="or", level=1, user=False),
    Function("not", 1, "bool", "not a", "any", lambda a: not a,
             ufunc("np.logical_not"), "(!{0})", user=False),
    # Printers write the arms of a select as they suit the language.
    Function("select", 3, "same", "second if first else third", "alike",
             lambda c, a, b: a if c else b, ("np.where({0}, {1}, {2})",), helped("select", 3),
             _select, user=False),
    Function("square", 1, "real", "a * a", "power", lambda a: a * a, ufunc("np.square"),
             helped("square", 1), lambda n, a, d: times(times(Const(2.0), a[0]), d[0]),
             "{a} * {a}", user=False),
    Function("cube", 1, "real", "a * a * a", "power", lambda a: a * a * a,
             ("np.square({0}, out={out})", "np.multiply({s0}, {0}, out={out})"),
             helped("cube", 1),
             lambda n, a, d: times(times(Const(3.0), apply("square", a[0])), d[0]),
             "{a} * {a} * {a}", user=False),
    Function("reciprocal", 1, "real", "1 / a", "power", lambda a: 1 / a, ufunc("np.reciprocal"),
             helped("reciprocal", 1),
             lambda n, a, d: negative(times(apply("square", n), d[0])), "({T})1 / {a}", user=False),
)  # fmt: skip

# Powers with a constant exponent that have a name of their own.
POWERS: dict[float, str] = {2.0: "square", 3.0: "cube", 0.5: "sqrt", -1.0: "reciprocal"}
