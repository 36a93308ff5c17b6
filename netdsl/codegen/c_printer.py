"""Expressions as C, for the native and the CUDA backend alike.

Two types occur: `real`, the run's float type, for values of rows, neurons and synapses, and
`double` for scalars. A subexpression that reads only scalars is computed in double and rounded
once where it meets a `real`; constants are written so that they round to the nearest `real`.
Helper functions carry the suffix `_f` (float) or `_d` (double) and never branch, so that loops
over them vectorise: see `templates/c/functions.c.j2`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from netdsl.ir.expr import Apply, Const, Expr
from netdsl.ir.network import Place

_BINARY = {"add": "+", "sub": "-", "mul": "*", "div": "/"}
_COMPARE = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
_LOGIC = {"and": "&", "or": "|"}
_CONDITIONS = frozenset(_COMPARE) | frozenset(_LOGIC) | {"not"}
# Functions of the C library, with `f` appended for float.
_LIBRARY = {
    "exp": "exp",
    "log": "log",
    "sqrt": "sqrt",
    "sin": "sin",
    "cos": "cos",
    "tanh": "tanh",
    "pow": "pow",
    "floor": "floor",
    "abs": "fabs",
}
# Functions of templates/c/functions.c.j2.
_HELPERS = frozenset(
    {"min", "max", "clip", "sign", "sigmoid", "relu", "logit", "mod", "floordiv", "select"}
)
_POWERS = {2.0: "square", 3.0: "cube", 0.5: "sqrt", -1.0: "reciprocal"}

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

    @property
    def suffix(self) -> str:
        """Ending of the helper functions of this type."""
        return "f" if self.ctype == FLOAT else "d"

    def number(self, expr: Expr) -> str:
        """`expr` as a number; conditions become 1 or 0."""
        if isinstance(expr, Const):
            return literal(expr.value, self.ctype)
        if self._is_scalar(expr):
            assert self.scalar is not None
            return self.scalar(expr)
        if not isinstance(expr, Apply):
            return self.read(expr)
        if expr.function in _CONDITIONS:
            one, zero = literal(1, self.ctype), literal(0, self.ctype)
            return f"({self.condition(expr)} ? {one} : {zero})"
        return self._apply(expr)

    def condition(self, expr: Expr) -> str:
        """`expr` as a truth value."""
        if isinstance(expr, Apply) and not self._is_scalar(expr):
            name = expr.function
            if name in _COMPARE:
                a, b = (self.number(arg) for arg in expr.args)
                return f"({a} {_COMPARE[name]} {b})"
            if name in _LOGIC:
                a, b = (self.condition(arg) for arg in expr.args)
                return f"({a} {_LOGIC[name]} {b})"
            if name == "not":
                return f"(!{self.condition(expr.args[0])})"
        if isinstance(expr, Const):
            return "1" if expr.value else "0"
        return f"({self.number(expr)} != {literal(0, self.ctype)})"

    def _is_scalar(self, expr: Expr) -> bool:
        if self.place is None or isinstance(expr, Const):
            return False
        return self.place(expr) is Place.GLOBAL

    def _apply(self, expr: Apply) -> str:
        name = expr.function
        if name == "pow" and isinstance(expr.args[1], Const):
            short = _POWERS.get(float(expr.args[1].value))
            if short is not None:
                return self._call(short, [self.number(expr.args[0])])
        if name == "select":
            test, then, otherwise = expr.args
            arms = [self.condition(test), self.number(then), self.number(otherwise)]
            return self._call(name, arms)
        args = [self.number(arg) for arg in expr.args]
        if name in _BINARY:
            return f"({args[0]} {_BINARY[name]} {args[1]})"
        if name == "neg":
            return f"(-{args[0]})"
        return self._call(name, args)

    def _call(self, name: str, args: list[str]) -> str:
        if name in _LIBRARY:
            end = "f" if self.ctype == FLOAT else ""
            return f"{_LIBRARY[name]}{end}({', '.join(args)})"
        if name in _HELPERS or name in _POWERS.values():
            return f"{name}_{self.suffix}({', '.join(args)})"
        raise ValueError(f"no C spelling of the function `{name}`")
