"""`--fast-math` reorders arithmetic: near-ties of spikes may fall the other way, nothing more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import netdsl
from netdsl.backends import native

pytestmark = pytest.mark.skipif(not native.available()[0], reason=native.available()[1])
SPEC = Path(__file__).parents[2] / "specs" / "csdp.net"
IMAGES, STEPS = 4, 60


def spikes(fast_math: bool) -> np.ndarray:
    """(steps, rows, neurons) spikes of a hidden layer that learns at every step."""
    small = {"n1": 40, "n2": 12, "B": IMAGES, "T": STEPS}
    model = netdsl.compile(SPEC, backend="native", set=small, fast_math=fast_math)
    try:
        shown = model.samples("digits.train", IMAGES)
        image, label = np.concatenate([shown["image"]] * 2), np.concatenate([shown["label"]] * 2)
        wrong = np.where(np.arange(2 * IMAGES) < IMAGES, label, (label + 1) % 10)
        positive = (np.arange(2 * IMAGES) < IMAGES).astype(float)
        model.present(image=image, label=label, shown_label=wrong, positive=positive)
        model.reset()
        found = []
        for _ in range(STEPS):
            model.step()
            found.append(model.state["h1.s"].copy())
        return np.array(found)
    finally:
        model.close()


@pytest.mark.slow
def test_spikes_differ_at_most_where_potentials_nearly_tie() -> None:
    exact, fast = spikes(False), spikes(True)
    assert exact.sum() > 100
    assert (exact != fast).sum() <= 0.05 * exact.sum()


def test_runs_are_bit_identical_from_run_to_run() -> None:
    assert np.array_equal(spikes(True), spikes(True))


def test_the_rest_of_the_process_keeps_subnormal_numbers() -> None:
    spikes(True)
    assert np.float64(5e-324) * np.float64(1.0) != 0.0
