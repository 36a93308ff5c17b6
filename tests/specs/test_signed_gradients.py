"""Signed projections that learn from a derived gradient: absent synapses keep their moments."""

from __future__ import annotations

import numpy as np
import pytest

from netdsl.api import Model
from tests.specs.test_cell_types import BACKENDS, Array, cuda, model

__all__ = ["cuda"]
ADAM = """
edition 1
celltype E sign +
celltype I sign -
param lr = 0.2
neuron src { state s = 0; s := 0.3 + 0.1 * index }
neuron cell { input i; input j; def y = tanh(i + j); state z = 0; z := y; }
loss err = mean(sum((rec.z@run - 0.2)^2))
optimiser adam_tf(rate) {
  state m = 0
  state v = 0
  projection state n = 0
  n := n + 1
  m := 0.9 * m + 0.1 * g
  v := 0.999 * v + 0.001 * g^2
  change = rate * sqrt(1 - 0.999^n) / (1 - 0.9^n) * m / (sqrt(v) + 1e-8)
}
population x : src[8] types { E: 5; I: 3 } shuffled
population rec : cell[6]
projection W : x -> rec sparse(p = 0.5, draw = pairs_with_replacement) sign by pre delay 0 {
  weight w ~ uniform(-0.1, 0.4)
  deliver i += w * pre.s
  learn bptt(loss = err, optimise = adam_tf(rate = lr))
  after update { mag := 0 if mag@prev <= 0 else mag; mag := mag - 0.01 if mag > 0 else mag }
}
projection R : rec -> rec sparse(p = 0.5, draw = pairs_with_replacement) sign + delay 1 step {
  weight w ~ uniform(-0.1, 0.4)
  deliver j += (0 if self else w) * pre.z
  learn bptt(loss = err, optimise = adam_tf(rate = lr))
  after update { mag := 0 if mag@prev <= 0 else mag }
}
allow non_local on W because "reference"
allow non_local on R because "reference"
protocol train { reset; phase run 3 steps; update W, R }
"""


@pytest.mark.parametrize("synapses", ["masked", "edges"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_adam_goes_on_at_absent_synapses(backend: str, synapses: str) -> None:
    held = model(ADAM, backend, synapses)
    state = held.state
    mags = {name: state[f"{name}.mag"].copy() for name in ("W", "R")}
    masks = {name: mag != 0 for name, mag in mags.items()}
    sign = np.where(state["x.type"] == 0, 1.0, -1.0)[:, None]
    moments = {name: (np.zeros_like(mag), np.zeros_like(mag)) for name, mag in mags.items()}
    s = 0.3 + 0.1 * np.arange(8)
    for n in range(1, 5):
        _train(held)
        w = sign * np.maximum(mags["W"], 0)
        r = np.maximum(mags["R"], 0) * ~np.eye(6, dtype=bool)
        z = [np.zeros(6)]
        for _ in range(3):
            z.append(np.tanh(s @ w + z[-1] @ r))
        adjoint = 2 * (z[3] - 0.2)
        dw, dr = np.zeros_like(w), np.zeros_like(r)
        for t in (3, 2, 1):
            back = adjoint * (1 - z[t] ** 2)
            dw += np.outer(s, back)
            dr += np.outer(z[t - 1], back)
            adjoint = r @ back
        grads = {"W": -sign * dw * masks["W"], "R": -dr * ~np.eye(6, dtype=bool) * masks["R"]}
        for name, g in grads.items():
            m, v = moments[name]
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            moments[name] = m, v
            mag = mags[name]
            step = 0.2 * np.sqrt(1 - 0.999**n) / (1 - 0.9**n) * m / (np.sqrt(v) + 1e-8)
            new = np.where(mag <= 0, 0, mag + step * masks[name])
            if name == "W":
                new = np.where(new > 0, new - 0.01, new)
            mags[name] = new
        for name, mag in mags.items():
            np.testing.assert_allclose(state[f"{name}.mag"], mag, 1e-10, 1e-12, err_msg=name)
            found = state[f"{name}.adam_tf.m"] * masks[name]
            np.testing.assert_allclose(found, moments[name][0], 1e-10, 1e-12, err_msg=name)
    assert any((mag[masks[name]] <= 0).any() for name, mag in mags.items())


def _train(held: Model) -> None:
    held.present()
    held.reset()
    held.phase("run")
    held.update()


BACK = """
edition 1
neuron src { state s = 0; s := 0.3 + 0.1 * index }
neuron cell { input i; input j; def y = tanh(i + j); state z = 0; z := y }
loss err = mean(sum((rec.z@run - 0.2)^2))
population x : src[8]
population rec : cell[6]
population o : cell[4]
projection W : x -> rec dense delay 0 {
  weight w = 0.01 * (pre.index - post.index)
  deliver i += w * pre.s
}
projection R : rec -> o sparse(p = 0.5) sign - delay 1 step {
  weight w ~ uniform(-0.1, 0.4)
  deliver j += w * pre.z
  learn bptt(loss = err)
}
projection Rt : o -> rec transpose of R delay 1 step { deliver j += 2 * w * pre.z }
allow non_local on R because "reference"
protocol train { reset; phase run 4 steps; update R }
"""


def _loss(mag: Array) -> float:
    w, s = -np.maximum(mag, 0), 0.3 + 0.1 * np.arange(8)
    sent = s @ (0.01 * (np.arange(8)[:, None] - np.arange(6)))
    z, o = np.zeros(6), np.zeros(4)
    for _ in range(4):
        z, o = np.tanh(sent + 2 * o @ w.T), np.tanh(z @ w)
    return float(((z - 0.2) ** 2).sum())


@pytest.mark.parametrize("synapses", ["masked", "edges"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_through_a_transpose(backend: str, synapses: str) -> None:
    held = model(BACK, backend, synapses)
    mag = held.state["R.mag"].copy()
    _train(held)
    change = held.state["R.mag"] - mag
    for at in zip(*np.nonzero(mag > 0), strict=True):
        step = np.zeros_like(mag)
        step[at] = 1e-6
        slope = (_loss(mag + step) - _loss(mag - step)) / 2e-6
        np.testing.assert_allclose(change[at], -slope, 1e-6, 1e-9)
