"""A small convolutional net against PyTorch: values, and gradients of the derived rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import netdsl
from netdsl.backends.native import available
from netdsl.checks import run
from netdsl.frontend import check

torch = pytest.importorskip("torch")
functional = torch.nn.functional

NET = """\
edition 1
neuron pixel { state z = 0 }
neuron smooth { input j; state z = 0; z := tanh(j) }
neuron normed { input j; state z = 0; def r = relu(j)
  def k = 1 / sqrt(mean(r^2 over ch) - mean(r over ch)^2 + 1e-6)
  z := (r - mean(r over ch)) * k + 0.1 * max(r over row, col) }
neuron relay { input j; state z = 0; z := j }
neuron logits { input j; def p = softmax(j) }
population x  : pixel[row: 7, col: 6, ch: 2]
population f1 : normed[row: 4, col: 6, ch: 4]
population p1 : relay[row: 2, col: 3, ch: 4]
population f2 : smooth[row: 2, col: 1, ch: 5]
population out : logits[3]
synapse tied { weight w ~ kaiming_uniform(); deliver j += w * pre.z; learn bptt(loss = E) }
synapse bias { weight w = 0.1; deliver j += w * pre.s; learn bptt(loss = E) }
projection K1 : x -> f1 conv(kernel = 3, stride = [2, 1], pad = same) delay 0 using tied
projection c1 : std.one -> f1 shared_over(row, col) delay 0 using bias
projection P1 : f1 -> p1 pool(2) delay 0 { weight w = 0.25; deliver j += w * pre.z }
projection K2 : p1 -> f2 conv(kernel = [1, 3]) delay 0 using tied
projection c2 : std.one -> f2 shared_over(row, col) delay 0 using bias
projection W : f2 -> out dense delay 0 using tied
loss E = mean(cross_entropy(out.p@sweep, sample.label))
allow non_local on bptt because "the gradient itself is tested"
data digits { source = "digits"; batch = 5; split train = train; split test = test }
protocol train {
  each batch of digits.train {
    reset
    clamp x.z = sample.image
    phase sweep 1 step
    update K1, c1, K2, c2, W
  }
}
"""
LEARNING = ("K1", "c1", "K2", "c2", "W")


def kernel(flat, height: int, width: int):
    """A kernel of a state file, (taps, kernels), as PyTorch has it."""
    return flat.reshape(height, width, -1, flat.shape[1]).permute(3, 2, 0, 1)


def forward(weights, image):
    x = image.reshape(-1, 7, 6, 2).permute(0, 3, 1, 2)
    first = functional.conv2d(x, kernel(weights["K1"], 3, 3), weights["c1"][0], (2, 1), 1)
    active = torch.relu(first)
    mean, square = active.mean(1, keepdim=True), (active**2).mean(1, keepdim=True)
    normed = (active - mean) / torch.sqrt(square - mean**2 + 1e-6)
    normed = normed + 0.1 * active.amax((2, 3), keepdim=True)
    pooled = functional.avg_pool2d(normed, 2)
    second = torch.tanh(functional.conv2d(pooled, kernel(weights["K2"], 1, 3), weights["c2"][0]))
    return second.permute(0, 2, 3, 1).reshape(len(image), -1) @ weights["W"]


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_gradients(backend: str, tmp_path: Path) -> None:
    if backend == "native" and not available()[0]:
        pytest.skip("no C compiler")
    spec = tmp_path / "net.net"
    spec.write_text(NET)
    observe = [f"{name}.dw" for name in LEARNING]
    model = netdsl.compile(spec, backend=backend, dtype="float64", observe=observe, seed=2)
    rng = np.random.default_rng(0)
    image, label = rng.normal(size=(5, 84)), rng.integers(0, 3, 5)
    model.present(image=image, label=label)
    start = {name: np.asarray(model.state[f"{name}.w"]) for name in LEARNING}
    model.phase("sweep", "train")
    probability = np.asarray(model.state["out.p@sweep"])
    model.update()

    weights = {name: torch.tensor(value, requires_grad=True) for name, value in start.items()}
    out = forward(weights, torch.tensor(image))
    np.testing.assert_allclose(probability, out.softmax(1).detach(), rtol=1e-12)
    functional.cross_entropy(out, torch.tensor(label)).backward()
    for name, weight in weights.items():
        change = np.asarray(model.state[f"{name}.dw"])
        assert change.shape == weight.shape
        np.testing.assert_allclose(change, -weight.grad, rtol=1e-10, atol=1e-14, err_msg=name)


def test_start_values_count_the_synapses_of_a_window(tmp_path: Path) -> None:
    spec = tmp_path / "net.net"
    spec.write_text(NET.replace("kaiming_uniform()", "uniform(fan_in, fan_in + 0.5)"))
    model = netdsl.compile(spec, backend="numpy")
    for name, fan_in in (("K1", 18), ("K2", 12), ("W", 10)):
        assert np.floor(model.state[f"{name}.w"]).min() == fan_in
    spec.write_text(NET.replace("kaiming_uniform()", "uniform(fan_out, fan_out + 0.5)"))
    model = netdsl.compile(spec, backend="numpy")
    for name, fan_out in (("K1", 36), ("K2", 15), ("W", 3)):
        assert np.floor(model.state[f"{name}.w"]).min() == fan_out


def test_nothing_is_wrong_with_it(tmp_path: Path) -> None:
    spec = tmp_path / "net.net"
    spec.write_text(NET)
    assert run(check(spec, lower=False).require()) == ()
