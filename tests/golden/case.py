"""What one golden file asks of one specification: settings, a trace, and tolerances."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.runtime.rewiring import Choice
from netdsl.tools.replay import Presentation, Trace

Array = NDArray[Any]
Kept = Mapping[str, tuple[Array, ...]]
SPECS = Path(__file__).resolve().parents[2] / "specs"


class GoldenError(Exception):
    """A golden file that does not have the documented layout, or asks for what no spec offers."""


@dataclass(frozen=True)
class Derived:
    """A recorded quantity that is computed from replayed variables.

    `keys` are keys of the report; `compute` gets their arrays, one presentation that compares them
    at a time, and returns what must equal the next of `expected` (None: not recorded there).
    """

    name: str
    keys: tuple[str, ...]
    compute: Callable[..., Array]
    expected: tuple[Array | None, ...]
    tolerance: float


@dataclass(frozen=True)
class Case:
    """A compiled specification is `spec` with `settings`; `trace` is replayed on it.

    `tolerance`: absolute, by key of the report; where it is infinite, a key serves `derived` alone.
    `keep`: keys that `derived` computes from. `spikes`: keys where any difference is a different
    spike, and may be explained by a near-tie. `choice`: what a rewiring opens. `name`: of one case
    among several of a file, in front of its rows. `shares`: by key, what suffices where `tolerance`
    does not: a share of the largest element that the presentation itself expects.
    """

    spec: Path
    settings: Mapping[str, Any]
    trace: Trace
    tolerance: Mapping[str, float]
    derived: tuple[Derived, ...] = ()
    keep: tuple[str, ...] = ()
    spikes: tuple[str, ...] = ()
    choice: Choice | None = None
    name: str = ""
    shares: Mapping[str, float] = field(default_factory=dict)


def report_keys(presentation: Presentation) -> dict[str, Array]:
    """The report's keys of everything that a presentation compares."""
    keys = {**presentation.expect}
    keys |= {f"final {key}": value for key, value in presentation.final.items()}
    keys |= {f"update {key}": value for key, value in presentation.update.items()}
    return keys


def relative_tolerances(trace: Trace, relative: float) -> dict[str, float]:
    """Per key, `relative` times the largest magnitude that the trace expects of it."""
    largest: dict[str, float] = {}
    for presentation in trace.presentations:
        for key, value in report_keys(presentation).items():
            top = float(np.abs(value).max(initial=0.0))
            largest[key] = max(largest.get(key, 0.0), top)
    return {key: relative * (top or 1.0) for key, top in largest.items()}


def layer_names(layers: int) -> tuple[str, ...]:
    """Names of the populations 1 to L: hidden layers, then the output."""
    return (*(f"h{k}" for k in range(1, layers)), "out")


def layer_settings(architecture: list[int], most: int = 4) -> dict[str, Any]:
    """Settings of sizes for a layered specification. Raises GoldenError beyond its depth."""
    layers = len(architecture) - 1
    if not 2 <= layers <= most:
        raise GoldenError(f"the specification has 2 to {most} layers of weights, not {layers}")
    settings: dict[str, Any] = {"layers": layers, "rows": architecture[0], "cols": 1}
    settings |= {f"n{k}": architecture[k] for k in range(1, layers)}
    settings["classes"] = architecture[-1]
    return settings


def adam_settings(beta1: float, beta2: float, eps: float) -> dict[str, float]:
    """Settings of a specification that learns by Adam."""
    return {"beta1": beta1, "beta2": beta2, "epsilon": eps}


def exponent(value: float, start: float, base: float) -> int:
    """The whole number e for which value = start * base^e. Raises GoldenError without one."""
    if value == start:
        return 0
    if base in (0, 1) or value * start <= 0:
        raise GoldenError(f"{value} is not {start} times a power of {base}")
    e = int(round(np.log(value / start) / np.log(base)))
    if abs(start * base**e - value) > 1e-12 * abs(value):
        raise GoldenError(f"{value} is not {start} times a power of {base}")
    return e


def units_last(array: Array) -> Array:
    """(T, n, N) of unit-major files to (T, N, n)."""
    return np.swapaxes(np.asarray(array, np.float64), -1, -2)


def one_hot(labels: Array, classes: int) -> Array:
    """(N,) class numbers to (N, classes)."""
    return np.eye(classes)[np.asarray(labels, np.int64)]


def check_targets(recorded: Array, expected: Array) -> None:
    """Raises GoldenError when the file's targets are not what the specification will clamp."""
    if not np.allclose(recorded, expected, rtol=0, atol=1e-15):
        raise GoldenError("the file's targets Y do not follow from its labels")
