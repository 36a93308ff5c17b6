"""Spelling of the primitive functions as NumPy calls that write `out`.

`{0}`, `{1}`, ... are the arguments and `{previous}` the result of the step before.
"""

from __future__ import annotations

from typing import Any

COMPARISONS = {
    "lt": "np.less({0}, {1}, out={out})",
    "le": "np.less_equal({0}, {1}, out={out})",
    "gt": "np.greater({0}, {1}, out={out})",
    "ge": "np.greater_equal({0}, {1}, out={out})",
    "eq": "np.equal({0}, {1}, out={out})",
    "ne": "np.not_equal({0}, {1}, out={out})",
}
LOGIC = {
    "and": "np.logical_and({0}, {1}, out={out})",
    "or": "np.logical_or({0}, {1}, out={out})",
    "not": "np.logical_not({0}, out={out})",
}
UFUNCS = {
    "add": "np.add({0}, {1}, out={out})",
    "sub": "np.subtract({0}, {1}, out={out})",
    "mul": "np.multiply({0}, {1}, out={out})",
    "div": "np.divide({0}, {1}, out={out})",
    "pow": "np.power({0}, {1}, out={out})",
    "neg": "np.negative({0}, out={out})",
    "min": "np.minimum({0}, {1}, out={out})",
    "max": "np.maximum({0}, {1}, out={out})",
    "clip": "np.clip({0}, {1}, {2}, out={out})",
    "abs": "np.absolute({0}, out={out})",
    "sign": "np.sign({0}, out={out})",
    "floor": "np.floor({0}, out={out})",
    "exp": "np.exp({0}, out={out})",
    "log": "np.log({0}, out={out})",
    "sqrt": "np.sqrt({0}, out={out})",
    "sin": "np.sin({0}, out={out})",
    "cos": "np.cos({0}, out={out})",
    "tanh": "np.tanh({0}, out={out})",
    "relu": "np.maximum({0}, 0.0, out={out})",
}
_STEPS = {
    "floordiv": ("np.divide({0}, {1}, out={out})", "np.floor({previous}, out={out})"),
    "mod": (
        "np.divide({0}, {1}, out={out})",
        "np.floor({previous}, out={out})",
        "np.multiply({1}, {previous}, out={out})",
        "np.subtract({0}, {previous}, out={out})",
    ),
    "sigmoid": (
        "np.negative({0}, out={out})",
        "np.exp({previous}, out={out})",
        "np.add({previous}, 1.0, out={out})",
        "np.reciprocal({previous}, out={out})",
    ),
    "logit": (
        "np.subtract(1.0, {0}, out={out})",
        "np.divide({0}, {previous}, out={out})",
        "np.log({previous}, out={out})",
    ),
}
_POWERS: dict[float | None, tuple[str, ...]] = {
    2.0: ("np.square({0}, out={out})",),
    3.0: ("np.square({0}, out={out})", "np.multiply({previous}, {0}, out={out})"),
    0.5: ("np.sqrt({0}, out={out})",),
    -1.0: ("np.reciprocal({0}, out={out})",),
}
MULTI: dict[str, Any] = {"steps": _STEPS, "pow": _POWERS}
