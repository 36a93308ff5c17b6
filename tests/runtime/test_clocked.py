"""Metrics with a clock of their own that reduce over the steps of a training phase."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import netdsl

SPEC = """edition 1
neuron source { state r = 0 }
neuron cell { input i; state v = 0; v := v + i }
population x : source[4]
population h : cell[1]
projection W : x -> h dense delay 0 { weight w = 1; deliver i += w * pre.r }
data images {
  source = "images.npz"; batch = 2; shuffle = false
  split train = train; split test = test
}
protocol train(epochs = 1) {
  each epoch {
    EVALUATE
    each batch of images.train { reset; clamp x.r = sample.image; phase run 3 steps }
  }
}
protocol test(split) { each batch of split { reset; clamp x.r = sample.image; phase run 3 steps } }
metric mean_v = mean(mean(mean(h.v over run))) every 1 batches
metric square = mean(mean(sum(h.v^2 over run last 2))) every 1 batches
"""


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("evaluate", ["evaluate test(images.test)", ""], ids=["evaluated", "alone"])
def test_are_of_the_phase_that_ran(backend: str, evaluate: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    train, test = rng.random((6, 4)), 10 * rng.random((4, 4))
    file = tmp_path / "images.npz"
    np.savez(
        file, train_image=train, test_image=test, train_label=np.zeros(6), test_label=np.zeros(4)
    )
    text = SPEC.replace("EVALUATE", evaluate)
    model = netdsl.compile(text, backend, dtype="float64", data={"images": file})
    found = model.run(out=tmp_path, test=False)
    assert found.directory is not None
    lines = (found.directory / "metrics.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if "mean_v" in row]
    total = train.sum(1).reshape(3, 2)
    np.testing.assert_allclose([row["mean_v"] for row in rows], 2 * total.mean(1), rtol=1e-6)
    wanted = (13 * total**2).mean(1)
    np.testing.assert_allclose([row["square"] for row in rows], wanted, rtol=1e-6)
