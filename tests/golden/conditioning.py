"""How far rounding a file's own numbers to float32 moves what is compared, in exact arithmetic.

Some recordings amplify rounding: a float32 run cannot be closer to them than a float64 run that
starts from numbers rounded to float32. This is measured, in float64, with the numbers of the file
moved by half a float32 unit in the last place in random directions, and given as a tolerance.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.golden.case import Case

Array = NDArray[Any]
DRAWS = 8
ALLOWED = 3.0  # times the largest movement: rounding happens at every operation, not only at first


def perturbed(case: Case, seed: int) -> Case:
    """The case with every real number that it is given moved by half a float32 ulp."""
    random = np.random.default_rng(seed)
    trace = case.trace
    init = {path: _moved(np.asarray(value), random) for path, value in trace.init.items()}
    shown = tuple(
        replace(p, sample={k: _moved(np.asarray(v), random) for k, v in p.sample.items()})
        for p in trace.presentations
    )
    return replace(case, trace=replace(trace, init=init, presentations=shown))


def _moved(value: Array, random: np.random.Generator) -> Array:
    if value.dtype.kind != "f":
        return value
    signs = random.choice((-1.0, 1.0), size=value.shape)
    return np.asarray(value, np.float64) * (1.0 + signs * 2.0**-25)


def movement(case: Case, observed: list[str], feed: list[str]) -> dict[str, float]:
    """Largest distance from the recording of the perturbed float64 replays, by key."""
    import netdsl
    from netdsl.runtime.replay import replay

    largest: dict[str, float] = {}
    model = netdsl.compile(
        case.spec,
        backend="numpy",
        dtype="float64",
        set=dict(case.settings),
        observe=observed,
        feed=feed,
    )
    try:
        for seed in range(DRAWS):
            report = replay(model, perturbed(case, seed).trace, tolerance=case.tolerance)
            for key, found in report.differences.items():
                largest[key] = max(largest.get(key, 0.0), found.largest)
    finally:
        model.close()
    return largest
