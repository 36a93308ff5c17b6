"""FORCE: recursive least squares against the textbook's own loop, and that it learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import netdsl

SPEC = Path(__file__).resolve().parents[2] / "specs" / "examples" / "force.net"
STEPS = 60


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_is_recursive_least_squares(backend: str) -> None:
    sizes = {"n": 20, "pattern.n_out": 1, "pattern.steps": STEPS}
    model = netdsl.compile(SPEC, backend=backend, dtype="float64", seed=3, set=sizes)
    model.present(**model.samples("pattern", 1))
    state = model.state
    recurrent, back = state["R.w"].copy(), state["B.w"].copy()
    inverse, weights = state["P.w"].copy(), state["W.w"].copy()
    potential = state["res.u"][0].copy()
    assert np.array_equal(inverse, np.eye(20)) and not weights.any()
    for _ in range(STEPS):
        model.step(phase="run")
        rate = np.tanh(potential)
        made = rate @ weights
        potential += 0.1 * (rate @ recurrent + made @ back - potential)
        projected = inverse @ rate
        gain = 1 / (1 + rate @ projected)
        weights = weights - gain * np.outer(projected, made - state["out.target"][0])
        inverse = inverse - gain * np.outer(projected, projected)
        np.testing.assert_allclose(state["res.u"][0], potential, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(state["W.w"], weights, rtol=1e-8, atol=1e-10)
        np.testing.assert_allclose(state["P.w"], inverse, rtol=1e-8, atol=1e-10)


def test_makes_the_wave_by_itself() -> None:
    result = netdsl.compile(SPEC, backend="native", seed=1, set={"n": 120}).run(epochs=25)
    assert result.metrics["pattern"]["error"] < 0.2
