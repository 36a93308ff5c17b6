"""Evaluate expressions over variables with plain numbers, for tests of passes."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping

from netdsl.ir.expr import Apply, Const, Expr, Load, Local, Ref
from netdsl.ir.network import Assign

_OPS: dict[str, Callable[..., float]] = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "neg": operator.neg,
    "pow": operator.pow,
    "exp": math.exp,
    "exprel": lambda x: math.expm1(x) / x if x else 1.0,
    "tanh": math.tanh,
    "relu": lambda x: max(x, 0.0),
    "abs": abs,
    "gt": operator.gt,
    "eq": operator.eq,
    "clip": lambda x, low, high: min(max(x, low), high),
    "sigmoid": lambda x: 1 / (1 + math.exp(-x)),
}


def value(expr: Expr, at: Mapping[str, float]) -> float:
    """The value of an expression where variables have the values `at`."""
    if isinstance(expr, Const):
        return float(expr.value)
    if isinstance(expr, Ref):
        return at[expr.path]
    if isinstance(expr, Load):
        return at[expr.buffer]
    if isinstance(expr, Local):
        return at[expr.name]
    assert isinstance(expr, Apply)
    if expr.function == "select":
        test, yes, no = expr.args
        return value(yes if value(test, at) else no, at)
    return float(_OPS[expr.function](*(value(arg, at) for arg in expr.args)))


def run(statements: tuple[Assign, ...], at: Mapping[str, float]) -> dict[str, float]:
    """Values after assignments made in order."""
    held = dict(at)
    for statement in statements:
        held[statement.target] = value(statement.value, held)
    return held
