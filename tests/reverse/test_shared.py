"""Losses with means over the batch inside a square: their gradients equal central differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import netdsl
from netdsl.backends.native import available
from netdsl.diagnostics import DiagnosticError
from netdsl.passes.errors import LoweringError

TEXT = """edition 1
neuron pixel { state v = 0 }
neuron unit { input i; state r = 0; r := 0.5 * r + tanh(i); state seen = 0; seen := seen + r / 3 }
neuron class { input o; def q = softmax(o) }
population x : pixel[6]
population h : unit[4]
population out : class[3]
projection W : x -> h dense delay 0 {
  weight w ~ uniform(-1, 1); deliver i += w * pre.v; learn bptt(loss = E)
}
projection R : h -> h dense delay 1 step {
  weight w ~ uniform(-1, 1); deliver i += w * pre.r; learn bptt(loss = E)
}
projection V : h -> out dense delay 0 {
  weight w ~ uniform(-1, 1); deliver o += w * pre.r; learn bptt(loss = E)
}
loss E = LOSS
data d { source = "digits"; batch = 5; split train = train[0, 10] }
protocol train(epochs = 1) { each epoch { each batch of d.train {
  reset; clamp x.v = sample.image; phase run 3 steps; update W, R, V } } }
allow non_local on bptt because "compared"
"""
ERROR = "mean(cross_entropy(out.q@run, sample.label))"
LOSSES = {
    f"{ERROR} + 0.7 * sum((mean(h.seen@run over batch) - 0.3)^2)": (
        lambda e, seen, r: e.mean() + 0.7 * ((seen.mean(0) - 0.3) ** 2).sum()
    ),
    f"{ERROR} + sum(mean(h.seen@run over batch) * mean(h.r@run over batch)) / 2": (
        lambda e, seen, r: e.mean() + (seen.mean(0) * r.mean(0)).sum() / 2
    ),
    f"2 * {ERROR} - mean(sum(h.r@run) over batch)^2": (
        lambda e, seen, r: 2 * e.mean() - r.sum(1).mean() ** 2
    ),
    f"0.3 * sum(sum(h.seen@run over batch)^2) + {ERROR}": (
        lambda e, seen, r: 0.3 * (seen.sum(0) ** 2).sum() + e.mean()
    ),
}


def forward(weights: dict[str, Any], image: Any, label: Any, value: Any) -> float:
    r = seen = np.zeros((len(image), 4))
    for _ in range(3):
        r = 0.5 * r + np.tanh(image @ weights["W"] + r @ weights["R"])
        seen = seen + r / 3
    o = r @ weights["V"]
    error = np.log(np.exp(o).sum(1)) - o[np.arange(len(o)), label]
    return float(value(error, seen, r))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_slopes(loss: str, backend: str) -> None:
    if backend == "native" and (not available()[0] or "0.7" not in loss):
        pytest.skip("one case is enough")
    observe = [f"{name}.dw" for name in "WRV"]
    text = TEXT.replace("LOSS", loss)
    model = netdsl.compile(text, backend, dtype="float64", observe=observe)
    rng = np.random.default_rng(1)
    image, label = rng.uniform(0, 1, (5, 6)), rng.integers(0, 3, 5)
    model.present(image=image, label=label)
    model.reset()
    weights = {name: np.array(model.state[f"{name}.w"]) for name in "WRV"}
    model.phase("run", steps=3)
    model.update()
    for name, start in weights.items():
        change = np.array(model.session.read(f"{name}.dw"))
        for place in [(0, 0), (2, 1), (3, 2)]:
            sides = []
            for move in (1e-5, -1e-5):
                moved = start.copy()
                moved[place] += move
                there = {**weights, name: moved}
                sides.append(forward(there, image, label, LOSSES[loss]))
            assert change[place] == pytest.approx(-(sides[0] - sides[1]) / 2e-5, rel=1e-5, abs=1e-9)
    model.close()


@pytest.mark.parametrize(
    "loss",
    [
        f"mean(sum(h.r@run * mean(h.seen@run over batch)) over batch) + {ERROR}",
        f"{ERROR} + sum(max(h.seen@run over batch))",
        "sum(cross_entropy(out.q@run, sample.label)) + sum(mean(h.r@run over batch)^2)",
    ],
)
def test_what_is_refused(loss: str) -> None:
    with pytest.raises((DiagnosticError, LoweringError)) as problem:
        netdsl.compile(TEXT.replace("LOSS", loss), "numpy")
    assert "over the batch" in str(problem.value) or "batch reduction" in str(problem.value)


COST = """edition 1
dt = 1 ms
neuron source { input p; s ~ bernoulli(p) }
neuron unit {
  input i; state v = 0; v := 0.9 * v + i
  spike z when v > 0.5 { v := 0; surrogate triangle(damp = 0.3, width = 1) }
  state active = 0; active := active + z / 12
}
population x : source[16]
population h : unit[7]
modulator excess on h { scope neuron; emit mean(active[q] over q in batch) - 0.2 }
rule tamed {
  eligibility e of w to post.z
  state A = 0; A := A + e / 12
  at update { dw = -2 * 0.3 * excess * A }
  reduce mean over batch
}
projection W : x -> h dense delay 0 { weight w ~ uniform(0, 0.1); deliver i += w * pre.s; LEARN }
loss E = 0.3 * sum((mean(h.active@run over batch) - 0.2)^2)
data d { source = "digits"; batch = 3; split train = train[0, 7] }
protocol train(epochs = 1) { each epoch { each batch of d.train {
  reset; clamp x.p = 0.3; phase run 12 steps learning; update W } } }
"""
LEARN = {
    "learn tamed()": 'allow cross_sample on excess because "the cost is on the mean"',
    "learn bptt(loss = E)": 'allow non_local on bptt because "compared"',
}


def test_a_cost_on_mean_rates_by_a_modulator_is_the_gradient() -> None:
    """Where no unit reaches another, the rule with eligibilities gives it, in both forms."""
    found = []
    for learn, allow in LEARN.items():
        text = COST.replace("LEARN", learn) + allow + "\n"
        if "bptt" in learn:
            text = text.replace("modulator excess on h", "#").replace("learning;", ";")
        for form in ("online", "reverse"):
            model = netdsl.compile(text, "numpy", dtype="float64", form=form, observe=("W.dw",))
            model.run(epochs=1)
            found.append(np.array(model.session.read("W.dw")))
            model.close()
    assert np.abs(found[0]).max() > 0
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-9, atol=1e-13)
