"""A `let` that is read behind a reduction over the population, wherever its value is."""

from __future__ import annotations

import numpy as np
import pytest

import netdsl

SPEC = """edition 1
neuron source { state r = 0 }
neuron cell {
  input i
  param own per neuron ~ uniform(0, 1)
  population state all = 1
  state v = 0
  let c = WHAT
  v := 0.5 * v + i + c
  let m = sum(v)
  v := v + 0.01 * m * c + mean(v) * c
}
population x : source[64]
population h : cell[5]
projection W : x -> h dense delay 0 { weight w ~ normal(0, 1); deliver i += w * pre.r }
data digits { source = "digits"; batch = 10 }
protocol train(epochs = 1) {
  each epoch { each batch of digits.train { reset; clamp x.r = sample.image; phase run 3 steps } }
}
"""


@pytest.mark.parametrize("what", ["2 + phase.step", "own + 1", "all + phase.step", "2 * i"])
def test_is_kept_where_it_is(what: str) -> None:
    text = SPEC.replace("WHAT", what)
    found = []
    for backend in ("numpy", "native"):
        model = netdsl.compile(text, backend, dtype="float64", observe=["h.v"])
        image = np.linspace(0, 1, 4 * 64).reshape(4, 64)
        model.present(image=image, label=np.zeros(4))
        state = model.state
        weights, own = state["W.w"], state["h.own"] if "own" in what else None
        v = np.zeros((4, 5))
        for step in range(3):
            model.step(phase="run")
            arrived = image @ weights
            c = {"2 + phase.step": 2 + step, "all + phase.step": 1 + step, "2 * i": 2 * arrived}
            here = own + 1 if own is not None else c[what]
            v = 0.5 * v + arrived + here
            total = v.sum(1, keepdims=True)
            v = v + 0.01 * total * here + v.mean(1, keepdims=True) * here
            np.testing.assert_allclose(state["h.v"], v, rtol=1e-12)
        found.append(v)
    np.testing.assert_allclose(*found, rtol=1e-12)
