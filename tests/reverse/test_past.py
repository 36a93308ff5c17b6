"""`@prev` under `bptt`: the value of the step before, or what a clamp binds in this one."""

from __future__ import annotations

import numpy as np
import pytest

import netdsl

SPEC = """edition 1
neuron source { state r = 0 }
neuron unit {
  input i
  state c = 0
  state v = 0
  c := 0.5 * c + 0.1 * i
  v := 0.9 * v + i * c@prev + tanh(c)
}
population x : source[4]
population h : unit[3]
projection W : x -> h dense delay 0 {
  weight w ~ uniform(-1, 1)
  deliver i += w * pre.r
  learn bptt(loss = E)
}
loss E = mean(sum(h.v@run^2))
allow non_local on bptt because "the gradient itself is looked at"
data d { source = "digits"; batch = 3 }
protocol train {
  each batch of d.train {
    reset
    clamp x.r = 0.1 + 0.05 * index * (phase.step + 1)
    CLAMP
    phase run STEPS steps
    update W
  }
}
"""


@pytest.mark.parametrize("steps", [2, 12])
@pytest.mark.parametrize("clamp", ["", "clamp h.c = 0.3 * phase.step + index"])
def test_gradient(clamp: str, steps: int) -> None:
    text = SPEC.replace("CLAMP", clamp).replace("STEPS", str(steps))
    model = netdsl.compile(text, "numpy", dtype="float64", observe=("W.dw",))
    model.present(image=np.zeros((3, 64)), label=np.zeros(3))
    start = np.array(model.state["W.w"])

    def loss(weights: np.ndarray) -> float:
        model.state["W.w"] = weights
        model.reset()
        model.phase("run")
        return float((np.array(model.state["h.v"]) ** 2).sum(1).mean())

    slopes = np.zeros_like(start)
    for place in np.ndindex(*start.shape):
        moved = np.zeros_like(start)
        moved[place] = 1e-6
        slopes[place] = (loss(start + moved) - loss(start - moved)) / 2e-6
    loss(start)
    model.update("W")
    found = -np.array(model.session.read("W.dw"))
    np.testing.assert_allclose(found, slopes, rtol=0, atol=1e-6 * np.abs(slopes).max())
