"""How far rounding a file's own numbers moves what is compared.

Some recordings amplify rounding: a float32 run cannot be closer to them than a float64 run that
starts from numbers rounded to float32. This is measured, in float64, with the numbers of the file
moved by half a unit in the last place in random directions, and given as a tolerance. Units are
those of float32, or of float64 for what two float64 programs may differ by.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.golden.case import Case

Array = NDArray[Any]
DRAWS = 8
HALF_ULP = {"float32": 2.0**-25, "float64": 2.0**-53}
ALLOWED = 3.0  # times the largest movement: rounding happens at every operation, not only at first


def perturbed(case: Case, seed: int, share: float) -> Case:
    """The case with every real number that it is given moved by a share of it."""
    random = np.random.default_rng(seed)
    trace = case.trace
    init = {path: _moved(np.asarray(value), random, share) for path, value in trace.init.items()}
    shown = tuple(
        replace(p, sample={k: _moved(np.asarray(v), random, share) for k, v in p.sample.items()})
        for p in trace.presentations
    )
    return replace(case, trace=replace(trace, init=init, presentations=shown))


def _moved(value: Array, random: np.random.Generator, share: float) -> Array:
    if value.dtype.kind != "f":
        return value
    signs = random.choice((-1.0, 1.0), size=value.shape)
    return np.asarray(value, np.float64) * (1.0 + signs * share)


def movement(case: Case, keys: tuple[str, ...], dtype: str) -> dict[str, float]:
    """Largest distance, by key, between float64 replays with and without the perturbation.

    The recording itself plays no part, so a wrong recording is not excused.
    """
    plain = _values(case, keys)
    largest: dict[str, float] = {}
    for seed in range(DRAWS):
        moved = _values(perturbed(case, seed, HALF_ULP[dtype]), keys)
        for key, arrays in plain.items():
            gaps = [np.abs(a - b).max(initial=0.0) for a, b in zip(arrays, moved[key])]
            largest[key] = max(largest.get(key, 0.0), float(max(gaps, default=0.0)))
    return largest


def _values(case: Case, keys: tuple[str, ...]) -> dict[str, tuple[Array, ...]]:
    """What a model that has run nothing computes; weights and optimisers go on in one that has."""
    from netdsl.tools.replay import replay
    from tests.golden.replaying import compiled

    model = compiled(case, "numpy", "float64")
    try:
        report = replay(model, case.trace, tolerance=case.tolerance, keep=keys)
    finally:
        model.close()
    return {key: tuple(report.values.get(key, ())) for key in keys}
