"""The derived backward sweep of bp.net against central differences of its loss."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import netdsl

SPEC = Path(__file__).resolve().parents[2] / "specs" / "bp.net"
STEP = 1e-6
Floats = NDArray[np.float64]


def mse(out: Floats, label: NDArray[np.int64]) -> float:
    return float(((out - np.eye(out.shape[1])[label]) ** 2).mean())


def cross_entropy(out: Floats, label: NDArray[np.int64]) -> float:
    shifted = out - out.max(1, keepdims=True)
    logs = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    return float(-logs[np.arange(len(label)), label].mean())


@pytest.mark.parametrize("layers", [2, 3, 4])
@pytest.mark.parametrize(("objective", "loss"), [("mse", mse), ("ce", cross_entropy)])
def test_gradient_is_the_derivative(
    layers: int, objective: str, loss: Callable[[Floats, NDArray[np.int64]], float]
) -> None:
    matrices = [f"{kind}{k}" for k in range(1, layers + 1) for kind in ("W", "b")]
    settings: dict[str, str | int | float | bool] = {"layers": layers, "objective": objective}
    settings |= {"rows": 6, "cols": 1, "classes": 3, "n1": 5, "n2": 4, "n3": 4}
    model = netdsl.compile(
        SPEC,
        backend="numpy",
        dtype="float64",
        set=settings,
        observe=[f"{name}.dw" for name in matrices],
        seed=3,
    )
    rng = np.random.default_rng(0)
    image, label = rng.random((7, 6)), rng.integers(0, 3, 7)
    model.present(image=image, label=label)
    start = {name: model.state[f"{name}.w"] for name in matrices}

    def value() -> float:
        model.reset()
        model.phase("sweep", "train")
        return loss(np.asarray(model.state["out.a"], np.float64), label)

    value()
    model.update()
    change = {name: model.state[f"{name}.dw"] for name in matrices}
    for name in matrices:
        model.state[f"{name}.w"] = start[name]
    for name in matrices:
        for _ in range(4):
            place = tuple(int(rng.integers(0, n)) for n in start[name].shape)
            sides = []
            for sign in (1, -1):
                moved = start[name].copy()
                moved[place] += sign * STEP
                model.state[f"{name}.w"] = moved
                sides.append(value())
            model.state[f"{name}.w"] = start[name]
            slope = (sides[0] - sides[1]) / (2 * STEP)
            assert change[name][place] == pytest.approx(-slope, abs=2e-9, rel=2e-7)
