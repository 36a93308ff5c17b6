"""Signed projections that learn from a derived gradient: absent synapses keep their moments."""

from __future__ import annotations

import numpy as np
import pytest

from netdsl.api import Model
from tests.specs.test_cell_types import BACKENDS, cuda, model

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
