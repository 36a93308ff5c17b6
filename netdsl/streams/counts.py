"""Poisson counts from uniforms: one word a count, by the same sum on every backend.

``poisson(mean)`` is the smallest n with ``unit < P(N <= n)``. The sum of the probabilities begins
at n = 0, and for means from 64 on at ``floor(mean - 8 sqrt(mean))``, below which lies less than
what a uniform can tell apart. Each probability is ``mean / n`` times the one before. A mean that
is not above 0, or no number, gives 0; one above 2^30 counts as 2^30.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

MOST = 2.0**30
_LARGE = 64.0

Floats = NDArray[Any]


def poisson_counts(unit: Floats, mean: Floats | float) -> NDArray[np.float64]:
    """Counts with these means from uniforms in [0, 1), in the shape of both together."""
    # exp(-mean) is at least 1 - mean, so that most counts of small means are seen to be 0.
    rest = ~(unit < np.subtract(1.0, mean, dtype=np.float64)) & np.greater(mean, 0)
    counts = np.zeros(rest.shape)
    if rest.any():
        means = np.broadcast_to(mean, rest.shape)[rest].astype(np.float64)
        counts[rest] = _summed(np.broadcast_to(unit, rest.shape)[rest], np.minimum(means, MOST))
    return counts


def _summed(unit: Floats, mean: NDArray[np.float64]) -> NDArray[np.float64]:
    large = mean >= _LARGE
    start = np.where(large, np.floor(mean - 8.0 * np.sqrt(mean)), 0.0)
    first = np.where(large, start * np.log(mean) - mean - gammaln(start + 1.0), -mean)
    count, most = start, start + 20.0 * np.sqrt(mean) + 60.0
    chance = np.exp(first)
    total = chance.copy()
    while (open_ := (unit >= total) & (count < most)).any():
        count = count + open_
        chance = np.where(open_, chance * (mean / np.maximum(count, 1.0)), chance)
        total = np.where(open_, total + chance, total)
    return count
