"""Primitive functions of expressions: one row each, from which all stages and languages follow.

A new function is a new row. `tests/ir/test_functions.py` goes through all of them.
"""

from __future__ import annotations

import math
import re
from functools import cache

from netdsl.ir.functions import named, operators
from netdsl.ir.functions.operators import POWERS
from netdsl.ir.functions.row import Function, Number

__all__ = ["FUNCTIONS", "HOST_FUNCTIONS", "Function", "Number", "c_names", "fold", "printed"]

FUNCTIONS: dict[str, Function] = {row.name: row for row in (*operators.ROWS, *named.ROWS)}

_LARGEST_COUNT = 2**63

# Host-only functions of readouts, metrics and protocol assignments, on whole arrays.
HOST_FUNCTIONS = frozenset(
    {"argmax", "softmax", "angle", "transpose", "random_sign", "logdet", "cross_entropy", "topk"}
)


def printed(function: str, exponent: Number | None) -> Function:
    """The row to print: that of `x ^ 2` is `square`; `exponent` is a power's, where constant."""
    if function == "pow" and exponent is not None:
        function = POWERS.get(float(exponent), function)
    return FUNCTIONS[function]


def bounded(value: Number) -> Number:
    """A number as it is kept, whole ones beyond 64 bits as reals; OverflowError if infinite."""
    if not math.isfinite(value):
        raise OverflowError("the number is too large")
    return float(value) if isinstance(value, int) and abs(value) >= _LARGEST_COUNT else value


def fold(function: str, *args: Number) -> Number:
    """The value for constants, of whole numbers a whole one up to 64 bits.

    Raises ArithmeticError or ValueError where it is not a finite number.
    """
    value = FUNCTIONS[function].fold(*args)
    return bounded(value) if all(map(math.isfinite, args)) else value


@cache
def c_names() -> frozenset[str]:
    """Identifiers of the C library and of helpers that expressions may call."""
    spelt = (row.c + row.body for row in FUNCTIONS.values())
    words = {word for text in spelt for word in re.findall(r"[A-Za-z_]\w*(?:\{[fs]\})?", text)}
    return frozenset(word.format(f=f, s=f or "d") for word in words for f in ("f", ""))
