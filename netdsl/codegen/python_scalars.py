"""Expression form of Python for values of place GLOBAL, evaluated in float64.

Printed text uses Python floats and NumPy functions, so that division by zero and overflow give
infinities as they do in arrays. GLOBAL buffers are zero-dimensional arrays.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from netdsl.ir.expr import Apply, Const, Expr, Load, Local

_COMPARE = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}
_LOGIC = {"and": "and", "or": "or"}
_INFIX = {"add": "+", "sub": "-", "mul": "*"}
_CALL = {
    "div": "np.divide({0}, {1})",
    "floordiv": "np.floor(np.divide({0}, {1}))",
    "mod": "({0} - {1} * np.floor(np.divide({0}, {1})))",
    "pow": "np.float_power({0}, {1})",
    "min": "np.minimum({0}, {1})",
    "max": "np.maximum({0}, {1})",
    "clip": "np.minimum(np.maximum({0}, {1}), {2})",
    "abs": "abs({0})",
    "sign": "np.sign({0})",
    "floor": "np.floor({0})",
    "exp": "np.exp({0})",
    "log": "np.log({0})",
    "sqrt": "np.sqrt({0})",
    "sin": "np.sin({0})",
    "cos": "np.cos({0})",
    "tanh": "np.tanh({0})",
    "sigmoid": "np.reciprocal(1.0 + np.exp(-({0})))",
    "relu": "np.maximum({0}, 0.0)",
    "logit": "np.log(np.divide({0}, 1.0 - {0}))",
}


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
    if expr.function in _COMPARE or expr.function in ("and", "or", "not"):
        return f"float{condition(expr, buffer, locals)}"
    if expr.function == "select":
        test = condition(expr.args[0], buffer, locals)
        chosen, other = (scalar(arg, buffer, locals) for arg in expr.args[1:])
        return f"({chosen} if {test} else {other})"
    args = [scalar(arg, buffer, locals) for arg in expr.args]
    if expr.function == "neg":
        return f"(-{args[0]})"
    if expr.function in _INFIX:
        return f"({args[0]} {_INFIX[expr.function]} {args[1]})"
    return _CALL[expr.function].format(*args)


def condition(expr: Expr, buffer: Callable[[str], str], locals: Mapping[str, str]) -> str:
    """Text of a truth value, in parentheses."""
    if isinstance(expr, Apply) and expr.function in _COMPARE:
        left, right = (scalar(arg, buffer, locals) for arg in expr.args)
        return f"({left} {_COMPARE[expr.function]} {right})"
    if isinstance(expr, Apply) and expr.function in _LOGIC:
        left, right = (condition(arg, buffer, locals) for arg in expr.args)
        return f"({left} {_LOGIC[expr.function]} {right})"
    if isinstance(expr, Apply) and expr.function == "not":
        return f"(not {condition(expr.args[0], buffer, locals)})"
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
