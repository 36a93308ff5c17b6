"""Primitive functions of expressions: arity, result type and meaning, in one table.

Printers give each a spelling per target language; `netdsl.passes.derivative` gives derivatives.
`clip(x, lo, hi)` is min(max(x, lo), hi). Conventions at kinks: relu'(0) = 0, clip' = 0 at and
beyond the ends, abs'(0) = 0, sign(0) = 0.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Function:
    """A primitive: `result` is "real", "bool", "count" or "same" (widest of the arguments)."""

    name: str
    arity: int
    result: str
    meaning: str
    user: bool = True  # callable by name in a specification (operators are not)


_TABLE = (
    Function("add", 2, "same", "a + b", user=False),
    Function("sub", 2, "same", "a - b", user=False),
    Function("mul", 2, "same", "a * b", user=False),
    Function("div", 2, "real", "a / b", user=False),
    Function("floordiv", 2, "same", "floor(a / b)", user=False),
    Function("mod", 2, "same", "a - b * floor(a / b)", user=False),
    Function("pow", 2, "real", "a ^ b", user=False),
    Function("neg", 1, "same", "-a", user=False),
    Function("lt", 2, "bool", "a < b", user=False),
    Function("le", 2, "bool", "a <= b", user=False),
    Function("gt", 2, "bool", "a > b", user=False),
    Function("ge", 2, "bool", "a >= b", user=False),
    Function("eq", 2, "bool", "a == b", user=False),
    Function("ne", 2, "bool", "a != b", user=False),
    Function("and", 2, "bool", "a and b", user=False),
    Function("or", 2, "bool", "a or b", user=False),
    Function("not", 1, "bool", "not a", user=False),
    Function("select", 3, "same", "second if first else third", user=False),
    Function("min", 2, "same", "the smaller"),
    Function("max", 2, "same", "the larger"),
    Function("clip", 3, "same", "limited to [second, third]"),
    Function("abs", 1, "same", "absolute value"),
    Function("sign", 1, "same", "-1, 0 or 1"),
    Function("floor", 1, "same", "largest integer not above"),
    Function("exp", 1, "real", "exponential"),
    Function("log", 1, "real", "natural logarithm"),
    Function("sqrt", 1, "real", "square root"),
    Function("sin", 1, "real", "sine"),
    Function("cos", 1, "real", "cosine"),
    Function("tanh", 1, "real", "hyperbolic tangent"),
    Function("sigmoid", 1, "real", "1 / (1 + exp(-a))"),
    Function("relu", 1, "same", "max(a, 0)"),
    Function("logit", 1, "real", "log(a / (1 - a))"),
)

FUNCTIONS: dict[str, Function] = {function.name: function for function in _TABLE}

# Host-only functions of readouts, metrics and protocol assignments, on whole arrays.
HOST_FUNCTIONS = frozenset(
    {"argmax", "softmax", "angle", "transpose", "random_sign", "logdet", "cross_entropy", "topk"}
)
