"""Modulators that reach other populations, and those on none, against whole arrays in NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import netdsl
from netdsl.backends.cupy import shim
from netdsl.frontend import check

SPEC = """edition 1
dt = 1 ms
neuron source { input p; state z = 0; z := 0.5 * z + p }
neuron cell { input j; state v = 0; v := 0.5 * v + j; def r = relu(v) }
neuron gated { input j; state v = 0; v := 0.5 * v + j + 0.01 * reward }
population x : source[4]
population h : cell[5]
population out : gated[3]
modulator reward on out to h, out cells, dopamine {
  population state e = 0
  e := 0.9 * e + 0.1 * mean(v)
  emit mean(v) - e + 0.001 * dopamine
}
modulator err on out { scope global; emit vector 1 - v }
modulator dopamine {
  scope global
  input pulse
  state level = 0
  d level/dt = -level / (200 ms)
  integrate level
  level := level + pulse + 0.1 * sum(h.r) + 0.01 * reward
  emit level
}
rule third {
  reads pre.z, post.r, reward, err, dopamine
  dw = 0.01 * reward * pre.z * post.r + 0.02 * sum(err[k] * (k + 1) over k) * pre.z
  subtract 0.0001 * dopamine * pre.z
  after update { w := w * (1 - 0.001 * dopamine) }
}
rule hebb { dw = 0.01 * pre.r * post.v * reward }
projection W : x -> h dense delay 0 {
  weight w ~ uniform(-1, 1); deliver j += w * pre.z; learn third()
}
projection V : h -> out dense delay 1 step {
  weight w ~ uniform(-1, 1); deliver j += w * pre.r * (1 + 0.1 * dopamine); learn hebb()
}
data digits { source = "digits"; batch = 2; split train = train }
protocol train { each batch of digits.train {
  reset
  clamp x.p = (1 + index) * (1 + sample.label)
  set dopamine.pulse := 1 + sample.label
  phase early 4 steps learning
  set dopamine.pulse := mean(out.v)
  phase late 3 steps learning
} }
readout shown = h.r@early
metric m = mean(mean(shown))
"""


def expected(w: np.ndarray, u: np.ndarray, label: np.ndarray) -> dict[str, np.ndarray]:
    """What the last step ends with."""
    z, v, o = np.zeros((2, 4)), np.zeros((2, 5)), np.zeros((2, 3))
    e = level = reward = dopamine = np.zeros((2, 1))
    pulse = 1 + label
    for step in range(7):
        if step == 4:
            pulse = o.mean(1, keepdims=True)
        elif step:
            pulse = np.zeros((2, 1))
        sent = np.maximum(v, 0)
        z = 0.5 * z + (1 + np.arange(4)) * (1 + label)
        v = 0.5 * v + z @ w
        r = np.maximum(v, 0)
        o = 0.5 * o + sent @ u * (1 + 0.1 * dopamine) + 0.01 * reward
        e = 0.9 * e + 0.1 * o.mean(1, keepdims=True)
        reward = o.mean(1, keepdims=True) - e + 0.001 * dopamine
        error = ((1 - o) * np.arange(1, 4)).sum(1, keepdims=True)
        level = level * np.exp(-1 / 200)
        level = level + pulse + 0.1 * r.sum(1, keepdims=True) + 0.01 * reward
        dopamine = level
        dw = 0.01 * z.T @ (reward * r) + (0.02 * z.T @ error)
        w = w + dw - 0.0001 * (z.T @ dopamine)
        w = w * (1 - 0.001 * dopamine.mean())
        u = u + 0.01 * sent.T @ (o * reward)
    return {"W.w": w, "V.w": u, "out.v": o, "dopamine.level": level, "reward.out": reward[:, 0]}


@pytest.mark.parametrize("backend", ["numpy", "native", "shim"])
def test_numbers_reach_where_they_are_sent(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if backend == "shim":
        if shim.compiler() is None:
            pytest.skip("no g++ for CUDA on the CPU")
        monkeypatch.setattr("netdsl.runtime.backend.executor_class", lambda _: shim.ShimExecutor)
    model = netdsl.compile(SPEC, backend, dtype="float64", rows=2)
    start = [model.state[name].copy() for name in ("W.w", "V.w")]
    labels = model.samples("train", 2)["label"].astype(float)[:, None]
    assert labels[0] != labels[1]
    for _ in range(2):  # `reset` begins anew, modulators included
        model.state["W.w"], model.state["V.w"] = start
        model.run(epochs=1, limit=2, test=False)
        for name, value in expected(*start, labels).items():
            np.testing.assert_allclose(model.state[name], value, rtol=1e-10, err_msg=name)
