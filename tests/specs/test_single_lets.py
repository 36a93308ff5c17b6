"""A `let` that is one number, read on both sides of a reduction over the population."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import netdsl
from netdsl.backends.native import available

SPEC = """edition 1
param a = 3
neuron source { state v = 0 }
neuron cell {
  input j
  state u = 0
  let c = a / 2
  let d = c + j
  u := c * (j - mean(d)) + max(c * j)
}
population x : source[4]
population h : cell[4]
projection W : x -> h one_to_one delay 0 { weight w = 1; deliver j += w * pre.v }
task drawn(batch = 2) { draw s[4] ~ normal(0, 1); field v[4] = s }
protocol train(batches = 1) { each batch of drawn { clamp x.v = sample.v; phase p 1 step } }
"""


@pytest.mark.parametrize(
    "backend",
    ["numpy", pytest.param("native", marks=pytest.mark.skipif(not available()[0], reason="cc"))],
)
def test_it_needs_no_buffer(backend: str, tmp_path: Path) -> None:
    path = tmp_path / "single.net"
    path.write_text(SPEC)
    model = netdsl.compile(path, backend=backend, dtype="float64")
    model.run("train", test=False)
    v = model.state["x.v"]
    d = 1.5 + v
    wanted = 1.5 * (v - d.mean(1, keepdims=True)) + (1.5 * v).max(1, keepdims=True)
    np.testing.assert_allclose(model.state["h.u"], wanted, rtol=1e-12)
