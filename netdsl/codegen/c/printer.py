"""Expressions as C, for the native and the CUDA backend alike.

Two types occur: `real`, the run's float type, for values of rows, neurons and synapses, and
`double` for scalars. A subexpression that reads only scalars is computed in double and rounded
once where it meets a `real`; constants are written so that they round to the nearest `real`.
How functions are spelt stands in `netdsl.ir.functions`; helpers (`templates/c/functions.c.j2`)
never branch, so that loops over them vectorise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from netdsl.ir.expr import Apply, Const, Expr
from netdsl.ir.functions import FUNCTIONS, printed
from netdsl.ir.network import Place

FLOAT, DOUBLE = "float", "double"


def literal(value: float | int | bool, ctype: str) -> str:
    """A constant that rounds to the nearest number of `ctype`."""
    number = float(value)
    if math.isnan(number):
        return "NAN"
    if math.isinf(number):
        return "INFINITY" if number > 0 else "(-INFINITY)"
    with np.errstate(over="ignore"):
        rounded = np.float32(number) if ctype == FLOAT else np.float64(number)
    if np.isinf(rounded):
        return "INFINITY" if number > 0 else "(-INFINITY)"
    text = str(rounded)
    if not any(mark in text for mark in ".e"):
        text += ".0"
    text += "f" if ctype == FLOAT else ""
    return f"({text})" if text.startswith("-") else text


@dataclass(frozen=True)
class Printer:
    """Prints expressions of one type.

    `read` spells a leaf (`Load`, `Local`, `Index`); `place` tells where an expression lives;
    `scalar` spells a subexpression of scalars where a `real` is wanted. A printer of scalars has
    none of the last two.
    """

    ctype: str
    read: Callable[[Expr], str]
    place: Callable[[Expr], Place] | None = None
    scalar: Callable[[Expr], str] | None = None

    def number(self, expr: Expr) -> str:
        """`expr` as a number; conditions become 1 or 0."""
        if isinstance(expr, Const):
            return literal(expr.value, self.ctype)
        if self._is_scalar(expr):
            assert self.scalar is not None
            return self.scalar(expr)
        if not isinstance(expr, Apply):
            return self.read(expr)
        if FUNCTIONS[expr.function].condition:
            one, zero = literal(1, self.ctype), literal(0, self.ctype)
            return f"({self.condition(expr)} ? {one} : {zero})"
        return self._apply(expr)

    def condition(self, expr: Expr) -> str:
        """`expr` as a truth value."""
        if isinstance(expr, Apply) and not self._is_scalar(expr):
            row = FUNCTIONS[expr.function]
            if row.condition:
                operand = self.condition if row.logic else self.number
                return row.c.format(*(operand(arg) for arg in expr.args))
        if isinstance(expr, Const):
            return "1" if expr.value else "0"
        return f"({self.number(expr)} != {literal(0, self.ctype)})"

    def _is_scalar(self, expr: Expr) -> bool:
        if self.place is None or isinstance(expr, Const):
            return False
        return self.place(expr) is Place.GLOBAL

    def _apply(self, expr: Apply) -> str:
        exponent = expr.args[1] if expr.function == "pow" else None
        constant = exponent.value if isinstance(exponent, Const) else None
        row = printed(expr.function, constant)
        args = [self.number(arg) for arg in expr.args]
        if expr.function == "select":
            args[0] = self.condition(expr.args[0])
        end = "f" if self.ctype == FLOAT else ""
        return row.c.format(*args, f=end, s=end or "d")
