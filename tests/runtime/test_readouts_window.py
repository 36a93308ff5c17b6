"""Readouts over a part of a phase, and of expressions, beside the same from recordings."""

from __future__ import annotations

import numpy as np
import pytest

import netdsl
from netdsl.backends.cupy import shim
from netdsl.frontend import check
from netdsl.runtime import backend
from netdsl.runtime.errors import RunFault
from tests.backends import test_cuda_golden

SPEC = """\
edition 1
dt = 1 ms
param n : count = 3
neuron pixel {{ input p; s ~ bernoulli(p) }}
neuron cell {{ input j; state v = 0; v := 0.9 * v + j; def r = v^2 }}
population img : pixel[64]
population out : cell[10]
modulator busy on out {{ scope population; emit mean(v) }}
projection W : img -> out dense delay 0 {{ weight w ~ normal(0, 0.3); deliver j += w * pre.s }}
data digits {{ source = "digits"; batch = 8; eval_batch = 8; split test = test[0, 20] }}
global state longer = 0
protocol test(split) {{
  each batch of split {{ reset; clamp img.p = 0.5 * sample.image; phase run {steps} }}
}}
{more}
record out.v on test
"""
METRICS = {
    "mean(mean(mean(out.v over run last n)))": lambda v: v[-3:].mean(),
    "mean(mean(sum(out.v over run last 3 ms)))": lambda v: v[-3:].sum(0).mean(),
    "mean(mean(min(out.v over run)))": lambda v: v.min(0).mean(),
    "mean(mean(max(out.v over run last 2 steps)))": lambda v: v[-2:].max(0).mean(),
    "mean(mean(min(out.v over run last 7)))": lambda v: v.min(0).mean(),
    "mean(mean(sum(out.v^2 over run)))": lambda v: (v**2).sum(0).mean(),
    "mean(mean(mean(out.r over run last 1)))": lambda v: (v[-1] ** 2).mean(),
    "mean(mean(count(out.v > 0.1 over run last 4)))": lambda v: (v[-4:] > 0.1).sum(0).mean(),
    "mean(sum(sum(out.v^2) over run last 2))": lambda v: (v[-2:] ** 2).sum((0, 2)).mean(),
    "mean(max(mean(abs(out.v - busy.out) over run last 5)))": lambda v: (
        abs(v[-5:] - v[-5:].mean(2, keepdims=True)).mean(0).max(1).mean()
    ),
}


def text(steps: str = "7 steps", more: str | None = None) -> str:
    lines = [f"metric m{k} = {value}" for k, value in enumerate(METRICS)]
    return SPEC.format(steps=steps, more="\n".join(lines) if more is None else more)


@pytest.fixture(params=["numpy", "native", "cuda"])
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A backend, CUDA on the CPU."""
    if request.param != "cuda":
        return str(request.param)
    if shim.compiler() is None:
        pytest.skip("no g++ for CUDA on the CPU")
    kind = (test_cuda_golden.__name__, test_cuda_golden.OneThread.__name__)
    monkeypatch.setitem(backend.BACKENDS, "shim", kind)
    return "shim"


@pytest.mark.parametrize("steps", ["7 steps", "longer + 7"])
def test_as_recorded(name: str, steps: str) -> None:
    found = netdsl.compile(text(steps), name, dtype="float64").evaluate()
    v = found.recordings["out.v"]
    expected = [value(v) for value in METRICS.values()]
    np.testing.assert_allclose(list(found.metrics.values()), expected, rtol=1e-12)


WRONG = [
    ("mean(mean(mean(out.v over run last 8)))", "E0534"),
    ("mean(mean(mean(out.v over run last 0)))", "E0204"),
    ("mean(mean(mean(out.v over run last 2.5)))", "E0412"),
    ("mean(mean(mean(out.v over run last 1 mV)))", "E0201"),
    ("mean(mean(any(out.v over run)))", "E0831"),
    ("mean(mean(sum(out.v * mean(img.s) over run)))", "E0505"),
    ("mean(mean(sum(softmax(out.v) over run)))", "E0831"),
    ("mean(mean(sum(mean(out.v over batch) + out.v over run)))", "E0831"),
    ("mean(mean(mean(out.v over batch last 2)))", "E0831"),
]


@pytest.mark.parametrize(("value", "code"), WRONG)
def test_refused(value: str, code: str) -> None:
    found = check(text(more=f"metric m = {value}")).diagnostics
    assert {d.code for d in found if d.severity == "error"} == {code}


def test_a_phase_that_turns_out_too_short() -> None:
    more = "metric m = mean(mean(mean(out.v over run last 4)))"
    with pytest.raises(RunFault) as fault:
        netdsl.compile(text("longer + 2", more), "numpy").evaluate()
    assert fault.value.code == "E0534" and "its last 4 are asked for" in fault.value.message
    model = netdsl.compile(text(more=more), "numpy")
    model.present(**model.samples("test", 2))
    with pytest.raises(RunFault, match="7 steps"):
        model.phase("run", steps=5)


def test_conditions_read_the_last_steps() -> None:
    """Of the very pass through the phase that has just run."""
    settle = """protocol settle {{
  each batch of digits.test limit 1 {{
    reset; clamp img.p = 1
    repeat {{ longer := longer + 1; phase run longer + 2 }} until {condition} > {level} limit 9
  }}
}}"""
    condition = "max(max(mean(abs(out.v) over run last 2)) over batch)"
    found = []
    for level in (0, 1e9):
        more = settle.format(condition=condition, level=level)
        model = netdsl.compile(text(more=more), "numpy")
        model.run("settle", test=False)
        found.append(model.session.host["longer"])
    assert found == [1, 9]
