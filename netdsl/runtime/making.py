"""Start values made step by step: what is done to whole matrices, (pre, post), at build."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from netdsl.diagnostics import NO_SPAN, Diagnostic, DiagnosticError
from netdsl.ir.network import Draw
from netdsl.runtime.host import REDUCTIONS
from netdsl.streams.draws import PhiloxStream

Array = NDArray[np.float64]


def reduced(kind: str, axis: str, value: Array) -> Array:
    """A reduction of a matrix that still broadcasts with it."""
    if axis == "population":
        return REDUCTIONS[kind](value.reshape(1, -1), 1)
    return REDUCTIONS[kind](np.atleast_2d(value), 0 if axis == "pre" else 1)


def spectral_radius(matrix: Array) -> Array:
    """The largest absolute eigenvalue of a square matrix; NaN of one that has none."""
    square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1]
    if not square or not np.isfinite(matrix).all():
        return np.asarray(np.nan)
    return np.asarray(np.abs(np.linalg.eigvals(matrix)).max(initial=0.0))


def columns(matrix: Array, count: int, stream: PhiloxStream) -> Array:
    """The first `count` columns; of fewer, so many drawn with replacement."""
    if matrix.shape[1] >= count:
        return matrix[:, :count]
    return matrix[:, stream.integers(matrix.shape[1], count)]


def result(draw: Draw, value: Array, shape: tuple[int, ...]) -> Array:
    """The finished start. Raises DiagnosticError E0664 for a shape, E0666 where it has no value."""
    at = draw.span or NO_SPAN
    if value.shape != shape:
        message = f"`w` is made {_by(value.shape)}, and the weight is {_by(shape)}"
        help = "end with `w := columns(w)`"
        raise DiagnosticError(Diagnostic("E0664", message, at, help=help))
    if not np.isfinite(value).all():
        count = int(np.count_nonzero(~np.isfinite(value)))
        message = f"the start has no value for {count} of {value.size} synapses"
        help = "a step divides by 0, or takes the spectral radius of what is not square"
        raise DiagnosticError(Diagnostic("E0666", message, at, help=help))
    return value


def _by(shape: tuple[int, ...]) -> str:
    return " by ".join(map(str, shape)) or "one number"


Whole = Callable[[Array, int, PhiloxStream], Array]
WHOLE: dict[str, Whole] = {
    "spectral_radius": lambda matrix, count, stream: spectral_radius(matrix),
    "columns": columns,
}
