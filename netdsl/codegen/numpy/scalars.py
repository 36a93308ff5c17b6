"""Expression form of Python for values of place GLOBAL, evaluated in float64.

Printed text uses Python floats and NumPy functions, so that division by zero and overflow give
infinities as they do in arrays. GLOBAL buffers are zero-dimensional arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from netdsl.ir.expr import Apply, Const, Expr, Load, Local
from netdsl.ir.functions import FUNCTIONS, printed

# Python's own operators where they mean the same; division would raise.
_INFIX = frozenset({"add", "sub", "mul", "and", "or", "lt", "le", "gt", "ge", "eq", "ne"})


def literal(value: float) -> str:
    """A float literal of Python."""
    number = float(value)
    if math.isnan(number):
        return "np.nan"
    if math.isinf(number):
        return "np.inf" if number > 0 else "-np.inf"
    return repr(number)


def scalar(expr: Expr, buffer: Callable[[str], str], locals: Mapping[str, str]) -> str:
    """Text of a float; `buffer` names GLOBAL arrays, `locals` the Python floats bound before."""
    if isinstance(expr, Const):
        text = literal(expr.value)
        return f"({text})" if text.startswith("-") else text
    if isinstance(expr, Load):
        return f"float({buffer(expr.buffer)})"
    if isinstance(expr, Local):
        return locals[expr.name]
    if not isinstance(expr, Apply):
        raise TypeError(f"{type(expr).__name__} is not a scalar expression")
    row = FUNCTIONS[expr.function]
    if row.condition:
        return f"float{condition(expr, buffer, locals)}"
    if expr.function == "select":
        test = condition(expr.args[0], buffer, locals)
        chosen, other = (scalar(arg, buffer, locals) for arg in expr.args[1:])
        return f"({chosen} if {test} else {other})"
    args = [scalar(arg, buffer, locals) for arg in expr.args]
    if expr.function == "neg":
        return f"(-{args[0]})"
    if row.name in _INFIX:
        return f"({args[0]} {row.symbol} {args[1]})"
    exponent = expr.args[1] if row.name == "pow" else None
    constant = exponent.value if isinstance(exponent, Const) else None
    return printed(row.name, constant).expression.format(*args)


def condition(expr: Expr, buffer: Callable[[str], str], locals: Mapping[str, str]) -> str:
    """Text of a truth value, in parentheses."""
    if isinstance(expr, Apply) and FUNCTIONS[expr.function].condition:
        row = FUNCTIONS[expr.function]
        operand = condition if row.logic else scalar
        args = [operand(arg, buffer, locals) for arg in expr.args]
        if row.name in _INFIX:
            return f"({args[0]} {row.symbol} {args[1]})"
        return f"(not {args[0]})"
    return f"({scalar(expr, buffer, locals)} != 0.0)"


def bare(text: str) -> str:
    """`text` without one pair of parentheses around the whole."""
    if not (text.startswith("(") and text.endswith(")")):
        return text
    depth = 0
    for position, char in enumerate(text):
        depth += (char == "(") - (char == ")")
        if depth == 0 and position < len(text) - 1:
            return text
    return text[1:-1]
