"""A convolutional net with a norm over channels against gradients recorded elsewhere.

`data/convolution.npz` holds two batches and the weights and raw gradients of two updates of an
independent implementation (NHWC, float64, automatic differentiation; sheet `hsic.md`, section 9.1).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import netdsl
from netdsl.backends.native import available

DATA = Path(__file__).parent / "data" / "convolution.npz"
NET = """\
edition 1
neuron pixel { state z = 0 }
neuron normed { input j; def r = relu(j)
  def k = 1 / sqrt(max(mean(r^2 over ch) - mean(r over ch)^2, 0) + 1e-6)
  def z = (r - mean(r over ch)) * k }
neuron relay { input j; def z = j }
population x  : pixel[row: 10, col: 10, ch: 2]
population f0 : normed[row: 10, col: 10, ch: 4]
population p0 : relay[row: 5, col: 5, ch: 4]
population f1 : normed[row: 5, col: 5, ch: 5]
population p1 : relay[row: 2, col: 2, ch: 5]
population out : relay[3]
synapse tied { weight w ~ lecun_normal(); deliver j += w * pre.z; learn bptt(loss = E) }
synapse bias { weight w = 0; deliver j += w * pre.s; learn bptt(loss = E) }
synapse mean { weight w = 0.25; deliver j += w * pre.z }
projection W0 : x -> f0 conv(kernel = 3, pad = 1) delay 0 using tied
projection b0 : std.one -> f0 shared_over(row, col) delay 0 using bias
projection P0 : f0 -> p0 pool(2) delay 0 using mean
projection W1 : p0 -> f1 conv(kernel = 3, pad = 1) delay 0 using tied
projection b1 : std.one -> f1 shared_over(row, col) delay 0 using bias
projection P1 : f1 -> p1 pool(2) delay 0 using mean
projection W2 : p1 -> out dense delay 0 using tied
projection b2 : std.one -> out dense delay 0 using bias
loss E = mean(cross_entropy(softmax(out.z@seen), sample.label))
allow non_local on bptt because "the gradient itself is tested"
data digits { source = "digits"; batch = 4; split train = train }
protocol train {
  each batch of digits.train {
    reset; clamp x.z = sample.image; phase seen 0 steps; update W0, b0, W1, b1, W2, b2
  }
}
"""
LEARNING = [f"{kind}{k}" for kind in "Wb" for k in range(3)]


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_gradients(backend: str, tmp_path: Path) -> None:
    if backend == "native" and not available()[0]:
        pytest.skip("no C compiler")
    spec = tmp_path / "net.net"
    spec.write_text(NET)
    observe = [f"{name}.dw" for name in LEARNING]
    model = netdsl.compile(spec, backend=backend, dtype="float64", rows=4, observe=observe)
    recorded = np.load(DATA)
    for update in range(2):
        model.present(image=recorded["image"][update], label=recorded["label"][update])
        for name in LEARNING:
            weight = recorded[name][update]
            model.state[f"{name}.w"] = weight.reshape(-1, weight.shape[-1])
        model.phase("seen", "train")
        model.update()
        for name in LEARNING:
            change = np.asarray(model.state[f"{name}.dw"])
            gradient = recorded[f"d{name}"][update].reshape(change.shape)
            np.testing.assert_allclose(
                -change, gradient, rtol=0, atol=1e-12 * np.abs(gradient).max(), err_msg=name
            )
