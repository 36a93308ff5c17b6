"""Layer norm on every backend: the derivative that the compiler makes is the one that is known."""

from __future__ import annotations

import numpy as np
import pytest

from netdsl import compile
from netdsl.runtime import backend as backends
from tests.runtime.test_eprop import BACKENDS

SPEC = """\
edition 1
dt = 1 ms
neuron source {{ state z = 0 }}
neuron norm {{
  input j
  state u = 0 keep
  u := u + dt / (5 ms) * (j - u)
  def r = relu(u)
  def k = 1 / sqrt(mean(r^2{over}) - mean(r{over})^2 + 1e-6)
  def z = (r - mean(r{over})) * k
}}
population x : source[3]
population h : norm[row: 4, ch: 5]
modulator xi on h {{ scope neuron; reads z, j; let v = sin(index) + z^2; emit vjp(z, j, v) }}
rule learned {{ dw = pre.z * xi }}
projection W : x -> h dense delay 0 {{
  weight w ~ normal(0, 1); deliver j += w * pre.z; learn learned()
}}
data digits {{ source = "digits"; batch = 3 }}
protocol train {{
  each batch of digits.train {{
    reset; clamp x.z = sample.label * (index + 1); phase see 2 steps learning
  }}
}}
"""


@pytest.fixture(autouse=True)
def _shim(monkeypatch: pytest.MonkeyPatch) -> None:
    place = ("netdsl.backends.cupy.shim", "ShimExecutor")
    monkeypatch.setitem(backends.BACKENDS, "shim", place)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("over", ["", " over ch"])
def test_layer_norm(backend: str, over: str) -> None:
    names = ("h.u", "h.z", "xi.h")
    model = compile(SPEC.format(over=over), backend=backend, dtype="float64", observe=names)
    model.present(label=np.array([2, 0, 7]))
    model.phase("see")
    u, z, found = (np.asarray(model.state[name]).reshape(3, 4, 5) for name in names)
    model.close()
    axes = (2,) if over else (1, 2)

    def mean(a: np.ndarray) -> np.ndarray:
        return a.mean(axes, keepdims=True)

    r = np.maximum(u, 0)
    k = 1 / np.sqrt(mean(r**2) - mean(r) ** 2 + 1e-6)
    np.testing.assert_allclose(z, (r - mean(r)) * k, atol=1e-12)
    v = np.sin(np.arange(20.0)).reshape(4, 5) + z**2
    expected = 0.2 * (u > 0) * k * (v - mean(v) - z * mean(z * v))
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12)
