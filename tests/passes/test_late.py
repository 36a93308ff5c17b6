"""What only the last step's value is read of is computed behind the steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netdsl
from netdsl.ir.program import Program
from netdsl.passes.lower import network as lowering
from tests.reverse.test_online import SMALL

SPECS = Path(__file__).resolve().parents[2] / "specs"
TEXT = """edition 1
dt = 1 ms
neuron source { input p; s ~ bernoulli(p) }
neuron unit { input i; input e; state v = 0; v := 0.9 * v + i; def r = tanh(v) }
neuron class { input o; state target = 0; def err = softmax(o) - target; def all = sum(o) }
population x : source[16]
population h : unit[5]
population out : class[2]
modulator worth on out { scope global; population state mean = 0
  mean := 0.9 * mean + 0.1 * sum(o); emit sum(err * err) }
modulator total on out { scope global; emit sum(err) }
rule learns { at update { dw = pre.s * post.e * (worth + total) } }
projection W : x -> h dense delay 0 {
  weight w ~ uniform(-1, 1); deliver i += w * pre.s; learn learns()
}
projection V : h -> out dense fixed delay 0 { weight w ~ uniform(-1, 1); deliver o += w * pre.r }
projection B : out -> h dense fixed delay DELAY {
  weight w ~ uniform(-1, 1); deliver e += w * pre.err
}
data d { source = "digits"; batch = 3; split train = train[0, 7] }
protocol train(epochs = 1) { each epoch { each batch of d.train {
  reset; clamp x.p = 0.3; clamp out.target = onehot(sample.label % 2)
  phase run 6 steps learning; update W } } }
"""


def values(spec: Any, **more: Any) -> dict[str, Any]:
    model = netdsl.compile(spec, "numpy", dtype="float64", **more)
    model.run(epochs=1, test=False)
    return {key: np.array(model.state[key]) for key in model.state}


def trained(spec: Any, **more: Any) -> Callable[[], dict[str, Any]]:
    return lambda: values(spec, **more)


CASES = {
    "back at once": trained(TEXT.replace("DELAY", "0")),
    "back a step later": trained(TEXT.replace("DELAY", "1 step")),
    "back three steps later": trained(TEXT.replace("DELAY", "3 steps")),
    "all rules on": trained(
        SPECS / "mdgl.net", set={**SMALL, "rule": "mdgl", "rewiring": True, "p_budget": 0.9}
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_every_value_is_the_same(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = CASES[name]()
    monkeypatch.setattr(lowering, "late", lambda program, phases: program)
    whole = CASES[name]()
    assert len(found.keys() & whole.keys()) > 0.9 * len(whole)
    for key in found.keys() & whole.keys():
        np.testing.assert_allclose(found[key], whole[key], rtol=1e-12, atol=1e-14, err_msg=key)


def step_of(program: Program) -> set[str]:
    step = next(r for r in program.routines.values() if r.phase == "run").step
    return {of for op in step for name in op.writes if (of := program.buffers[name].of)}


def test_what_moves_and_what_stays() -> None:
    text = TEXT.replace("DELAY", "0")
    moved = step_of(netdsl.compile(text, "numpy").program)
    assert "h.e" not in moved and "total.out" not in moved
    assert {"out.o", "h.i", "h.v"} <= moved
    assert any(name.endswith("mean") for name in moved)  # a modulator's state has a history
    assert "h.e" in step_of(netdsl.compile(text, "numpy", observe=("h.e",)).program)
