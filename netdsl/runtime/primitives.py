"""The primitive functions on arrays of the host, from their rows in `netdsl.ir.functions`."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.ir.expr import Apply, Const
from netdsl.ir.functions import FUNCTIONS, printed

Primitive = Callable[..., NDArray[np.float64]]


def primitive(expr: Apply) -> Primitive | None:
    """What an application computes, on float64 arrays that broadcast; None of host functions."""
    if expr.function not in FUNCTIONS:
        return None
    exponent = expr.args[1] if expr.function == "pow" else None
    row = printed(expr.function, exponent.value if isinstance(exponent, Const) else None)
    return named(row.name)


@cache
def named(name: str) -> Primitive:
    """The primitive of that name; what is left over of a power's arguments is not used."""
    row = FUNCTIONS[name]
    space: dict[str, Any] = {"np": np}
    if "special." in row.expression:
        from scipy import special

        space["special"] = special
    text = row.expression.format(*(f"args[{number}]" for number in range(row.arity)))
    call = eval(f"lambda args: {text}", space)  # text of our own table
    return lambda *args: np.asarray(call(args), np.float64)
