"""Rows of the functions that a specification calls by name.

Conventions at kinks: relu'(0) = 0, clip' = 0 at and beyond the ends, abs'(0) = 0, sign(0) = 0, max
and min take the second argument's slope at a tie. NaN passes through all of them.
"""

from __future__ import annotations

import math

from netdsl.ir.algebra.build import ONE, ZERO, choose, minus, negative, over, plus, times
from netdsl.ir.expr import Apply, Const, Expr, apply
from netdsl.ir.functions.row import Args, Fold, Function, Number, Slope, flat, helped, ufunc

_TWO = Const(2.0)


def _min(a: Number, b: Number) -> Number:
    return b if b < a or b != b else a


def _max(a: Number, b: Number) -> Number:
    return b if b > a or b != b else a


def _sign(a: Number) -> Number:
    return a if a != a else (a > 0) - (a < 0)


def _whole(rounding: Fold) -> Fold:
    """A rounding that leaves what is not finite as it is."""
    return lambda a: rounding(a) if math.isfinite(a) else a


def _exprel(a: Number) -> Number:
    if abs(a) < 1e-30 or a == math.inf:
        return 1.0 + a
    half = math.expm1(0.5 * a)
    return half / a * (half + 2.0)


def _logit(a: Number) -> Number:
    return math.log(a / (1 - a)) if a < 0.25 else math.log1p((2 * a - 1) / (1 - a))


def _logistic(a: Number) -> Number:
    return 1 / (1 + math.exp(-a)) if a > -700 else math.exp(a)


def _clip(_: Apply, a: Args, d: Args) -> Expr:
    x, low, high = a
    if d[1] == ZERO and d[2] == ZERO:
        inside = apply("and", apply("gt", x, low), apply("lt", x, high))
        return choose(inside, d[0], ZERO)
    upper = choose(apply("ge", x, high), d[2], d[0])
    return choose(apply("le", x, low), d[1], upper)


def _exprel_slope(node: Apply, a: Args, d: Args) -> Expr:
    """(exp(x) - exprel(x)) / x; near 0, where that cancels, the series of k x^(k-1) / (k+1)!."""
    x = a[0]
    series: Expr = ZERO
    for k in range(12, 0, -1):
        series = plus(Const(k / math.factorial(k + 1)), times(x, series))
    near = apply("lt", apply("abs", x), Const(0.25))
    far = over(minus(apply("exp", x), node), x)
    return times(choose(near, series, far), d[0])


def _chain(slope: Slope) -> Slope:
    """The chain rule of a function of one argument: `slope` is its own derivative."""
    return lambda n, a, d: times(slope(n, a, d), d[0])


def _one_minus_square(x: Expr) -> Expr:
    """1 - x^2, which does not cancel near 1."""
    return times(minus(ONE, x), plus(ONE, x))


def _one_plus_square(x: Expr) -> Expr:
    return plus(ONE, times(x, x))


def _real(
    name: str, meaning: str, fold: Fold, slope: Slope, numpy: str = "", vector: str = "2, 35"
) -> Function:
    """A function of one number that all libraries have, by one name but for NumPy's."""
    steps = ufunc(numpy or f"np.{name}")
    c = f"{name}{{f}}({{0}})"
    return Function(name, 1, "real", meaning, "number", fold, steps, c, slope, vector=vector)


def _rounding(name: str, meaning: str, fold: Fold, numpy: str) -> Function:
    return Function(
        name,
        1,
        "same",
        meaning,
        "number",
        _whole(fold),
        ufunc(f"np.{numpy}"),
        f"{numpy}{{f}}({{0}})",
    )


_SIGMOID = (
    "np.negative({0}, out={out})",
    "np.exp({s0}, out={out})",
    "np.add({s1}, 1.0, out={out})",
    "np.reciprocal({s2}, out={out})",
)
_SOFTPLUS = (
    "np.absolute({0}, out={out})",
    "np.negative({s0}, out={out})",
    "np.exp({s1}, out={out})",
    "np.log1p({s2}, out={out})",
    "np.maximum({0}, 0.0, out={out})",
    "np.add({s3}, {s4}, out={out})",
)
# As in C below, without cases: 0 is taken for a very small number, infinity for a large one.
_EXPREL_STEPS = (
    "np.minimum({0}, 1e4, out={out})",
    "np.absolute({s0}, out={out})",
    "np.maximum({s1}, 1e-30, out={out})",
    "np.copysign({s2}, {s0}, out={out})",
    "np.multiply({s3}, 0.5, out={out})",
    "np.expm1({s4}, out={out})",
    "np.divide({s5}, {s3}, out={out})",
    "np.add({s5}, 2.0, out={out})",
    "np.multiply({s6}, {s7}, out={out})",
)
# Arms of a select are computed both, so that loops vectorise.
_LOGIT = (
    "select_{s}({a} < ({T})0.25, log{f}({a} / (({T})1 - {a})),"
    " log1p{f}((({T})2 * {a} - ({T})1) / (({T})1 - {a})))"
)
# exp(a) - 1 is e (e + 2) with e = exp(a / 2) - 1, which overflows only where the quotient does.
_EXPREL = (
    "select_{s}((fabs{f}({a}) < ({T})1e-30) | ({a} == ({T})INFINITY), ({T})1 + {a},"
    " expm1{f}({a} * ({T})0.5) / {a} * (expm1{f}({a} * ({T})0.5) + ({T})2))"
)

# Bounds are mostly constants, for which the test for NaN costs nothing.
_CLIP = (
    "(({b} != {b}) | ({c} != {c})) ? {b} + {c}"
    " : ({a} < {b} ? {b} : {a}) > {c} ? {c} : {a} < {b} ? {b} : {a}"
)

ROWS = (
    Function("min", 2, "same", "the smaller", "alike", _min,
             ufunc("np.minimum", 2), helped("min", 2),
             lambda n, a, d: choose(apply("lt", *a), d[0], d[1]),
             "(({b} < {a}) | ({b} != {b})) ? {b} : {a}"),
    Function("max", 2, "same", "the larger", "alike", _max,
             ufunc("np.maximum", 2), helped("max", 2),
             lambda n, a, d: choose(apply("gt", *a), d[0], d[1]),
             "(({b} > {a}) | ({b} != {b})) ? {b} : {a}"),
    Function("clip", 3, "same", "limited to [second, third]", "alike",
             lambda x, low, high: _min(_max(x, low), high), ufunc("np.clip", 3), helped("clip", 3),
             _clip, _CLIP),
    Function("abs", 1, "same", "absolute value", "keep", abs, ufunc("np.absolute"), "fabs{f}({0})",
             lambda n, a, d: times(apply("sign", a[0]), d[0])),
    Function("sign", 1, "same", "-1, 0 or 1", "any", _sign, ufunc("np.sign"),
             helped("sign", 1), flat,
             "{a} == {a} ? ({T})(({a} > 0) - ({a} < 0)) : {a}"),
    Function("relu", 1, "same", "max(a, 0)", "keep", lambda a: _max(a, 0),
             ("np.maximum({0}, 0.0, out={out})",), helped("relu", 1),
             lambda n, a, d: choose(apply("gt", a[0], ZERO), d[0], ZERO),
             "{a} < ({T})0 ? ({T})0 : {a}"),
    _rounding("floor", "largest whole number not above", math.floor, "floor"),
    _rounding("ceil", "smallest whole number not below", math.ceil, "ceil"),
    _rounding("round", "nearest whole number, the even one of two", round, "rint"),
    _real("exp", "exponential", math.exp, _chain(lambda n, a, d: n), vector="2, 22"),
    _real("expm1", "exp(a) - 1, precise near 0", math.expm1,
          _chain(lambda n, a, d: apply("exp", a[0]))),
    Function("exprel", 1, "real", "(exp(a) - 1) / a, 1 at 0", "number", _exprel,
             _EXPREL_STEPS, helped("exprel", 1), _exprel_slope,
             _EXPREL),
    _real("log", "natural logarithm", math.log, lambda n, a, d: over(d[0], a[0]), vector="2, 22"),
    _real("log1p", "log(1 + a), precise near 0", math.log1p,
          lambda n, a, d: over(d[0], plus(ONE, a[0]))),
    _real("log2", "logarithm to base 2", math.log2,
          lambda n, a, d: over(d[0], times(Const(math.log(2)), a[0]))),
    _real("log10", "logarithm to base 10", math.log10,
          lambda n, a, d: over(d[0], times(Const(math.log(10)), a[0]))),
    Function("sqrt", 1, "real", "square root", "root", math.sqrt, ufunc("np.sqrt"), "sqrt{f}({0})",
             lambda n, a, d: over(d[0], times(_TWO, n))),
    _real("sin", "sine", math.sin, _chain(lambda n, a, d: apply("cos", a[0])), vector="2, 22"),
    _real("cos", "cosine", math.cos, _chain(lambda n, a, d: negative(apply("sin", a[0]))),
          vector="2, 22"),
    _real("tan", "tangent", math.tan, _chain(lambda n, a, d: _one_plus_square(n))),
    _real("asin", "inverse sine", math.asin,
          lambda n, a, d: over(d[0], apply("sqrt", _one_minus_square(a[0]))), "np.arcsin"),
    _real("acos", "inverse cosine", math.acos,
          lambda n, a, d: negative(over(d[0], apply("sqrt", _one_minus_square(a[0])))),
          "np.arccos"),
    _real("atan", "inverse tangent", math.atan,
          lambda n, a, d: over(d[0], _one_plus_square(a[0])), "np.arctan"),
    _real("sinh", "hyperbolic sine", math.sinh, _chain(lambda n, a, d: apply("cosh", a[0]))),
    _real("cosh", "hyperbolic cosine", math.cosh, _chain(lambda n, a, d: apply("sinh", a[0]))),
    _real("tanh", "hyperbolic tangent", math.tanh, _chain(lambda n, a, d: minus(ONE, times(n, n)))),
    _real("erf", "error function", math.erf,
          _chain(lambda n, a, d: times(Const(2 / math.sqrt(math.pi)),
                                       apply("exp", negative(times(a[0], a[0]))))), "special.erf"),
    Function("sigmoid", 1, "real", "1 / (1 + exp(-a))", "number", _logistic, _SIGMOID,
             helped("sigmoid", 1), _chain(lambda n, a, d: times(n, minus(ONE, n))),
             "({T})1 / (({T})1 + exp{f}(-{a}))"),
    Function("softplus", 1, "real", "log(1 + exp(a)), never infinite early", "number",
             lambda a: math.log1p(math.exp(-abs(a))) + max(a, 0.0),
             _SOFTPLUS, helped("softplus", 1),
             _chain(lambda n, a, d: apply("sigmoid", a[0])),
             "log1p{f}(exp{f}(-fabs{f}({a}))) + relu_{s}({a})"),
    Function("logit", 1, "real", "log(a / (1 - a))", "number", _logit,
             ufunc("special.logit"), helped("logit", 1),
             lambda n, a, d: over(d[0], times(a[0], minus(ONE, a[0]))), _LOGIT),
)  # fmt: skip
