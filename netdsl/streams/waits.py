"""Waiting times and other positive numbers from uniforms, one word a number.

``exponential(mean)`` is ``-mean ln(1 - unit)``; ``lognormal(mean, std)`` is the exponential of a
normal draw with these. ``gamma(shape, scale)`` is ``scale`` times the x with P(shape, x) = unit,
P being the regularised incomplete gamma function; a shape that is not above 0, or no number, gives
0. All are computed in float64 and rounded once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

Floats = NDArray[Any]


def exponentials(unit: Floats, mean: Floats | float) -> NDArray[np.float64]:
    """Waiting times with these means from uniforms in [0, 1)."""
    return np.asarray(np.asarray(mean, np.float64) * -np.log1p(-unit))


def lognormals(normal: Floats, mean: Floats | float, std: Floats | float) -> NDArray[np.float64]:
    """Numbers whose logarithms have these means and deviations, from standard normal ones."""
    with np.errstate(over="ignore"):
        return np.asarray(np.exp(np.asarray(mean, np.float64) + std * normal))


def gammas(unit: Floats, shape: Floats | float, scale: Floats | float) -> NDArray[np.float64]:
    """Gamma draws from uniforms in [0, 1)."""
    held = np.asarray(shape, np.float64)
    drawn = gammaincinv(np.where(held > 0, held, 1.0), unit)
    return np.asarray(np.where(held > 0, drawn, 0.0) * scale)
