"""Spikes and bools hold 0 or 1, whichever way a value enters; then every strategy agrees."""

from __future__ import annotations

import numpy as np
import pytest

import netdsl
from netdsl.backends.cupy import shim
from netdsl.backends.native import available
from netdsl.frontend import check
from netdsl.ir.protocol import Clamp, SetState, steps_of
from netdsl.runtime import backend as backends
from netdsl.runtime.errors import RunFault

SPEC = """\
edition 1
{top}
neuron pixel {{ {cell} }}
neuron unit {{ input j; state r = 0; r := 0.5 * r + j }}
population img : pixel[row: 8, col: 8]
population out : unit[30]
projection W : img -> out dense delay {delay} {{
  weight w ~ uniform(-0.1, 0.1); deliver j += w * pre.v }}
data digits {{ source = "digits"; batch = 20 }}
protocol train {{ each batch of digits.train {{ reset; {steps}; phase see 3 steps {controls} }} }}
readout m = sum(out.r@see)
metric score = mean(m)
"""
BOOL = "state v : bool = false"


def text(cell: str, steps: str = "", top: str = "", controls: str = "", delay: str = "0") -> str:
    return SPEC.format(cell=cell, steps=steps or "reset", top=top, controls=controls, delay=delay)


REFUSED = {
    "clamp": text(BOOL, "clamp img.v = max(0, sample.image - 0.9)"),
    "clamp of a field": text(BOOL, "clamp img.v = sample.image"),
    "clamp of a count": text(BOOL, "clamp img.v = sample.label"),
    "set": text(BOOL, "set img.v := 0.5 * sample.image"),
    "assignment": text(f"{BOOL}; v := 0.3"),
    "one branch": text(f"{BOOL}; state u = 0; u := u + 0.4; v := 1 if u > 1 else u"),
    "sum": text(f"{BOOL}; state a : bool = true; v := a + v"),
    "scaled": text(f"{BOOL}; state a : bool = true; v := 0.5 * a"),
    "entry": text(f"{BOOL}; on phase {{ v := 0.5 }}"),
    "start value": text("state v : bool = 0.5"),
    "start value of a parameter": text("param p per neuron ~ uniform(0, 1); state v : bool = p"),
    "drawn start value": text("state v : bool ~ uniform(0, 1)"),
    "draw": text(f"{BOOL}; v ~ normal(0, 1)"),
    "assignment to a draw": text("v ~ bernoulli(0.5); v := 0.3"),
    "equation": text(
        f"{BOOL}; state u = 1; d v/dt = -v / 10 ms; integrate v with euler", top="dt = 1 ms"
    ),
    "condition of a spike": text("state u = 0; u := u + 0.3; spike v when u { }"),
    "reset of a spike": text(
        "state u = 0; state b : bool = false; spike v when u > 1 { b := u }; u := u + b"
    ),
    "clamped input": text(
        "input p : bool; state v = 0; v := p", "clamp img.p = 0.4 * sample.image"
    ),
    "global state": text(BOOL, "flag := 0.3", top="global state flag : bool = true"),
    "weighted sum": text(f"input p : bool; {BOOL}; v := p")
    + "projection B : img -> img dense delay 1 step { weight w ~ uniform(0, 1); "
    "deliver p += w * pre.v }\n",
}
ACCEPTED = {
    "comparison": text(BOOL, "clamp img.v = sample.image > 0.5"),
    "flag": text(BOOL, "clamp img.v = sample.positive"),
    "numbers 0 and 1": text(BOOL, "clamp img.v = 1 if sample.image > 0.5 else 0"),
    "logic": text(f"{BOOL}; state u = 0; u := u + 0.4; v := not (u > 1 and v)"),
    "product of bools": text(f"{BOOL}; state a : bool = true; v := a * (1 - v)"),
    "bernoulli": text("v ~ bernoulli(0.2)"),
    "drawn start": text("state v : bool ~ bernoulli(0.3)"),
    "spike": text("state u = 0; u := u + 0.3; spike v when u > 1 { u := 0 }"),
    "delayed": text(BOOL, "set img.v := sample.image > 0.5", delay="2 step"),
    "definition": text("state u = 0; u := u + 0.4; def v = u > 1"),
    # A real state may hold fractions, and is delivered as such.
    "real": text("state v = 0", "clamp img.v = max(0, sample.image - 0.9)"),
    "let of a sum": text("state a : bool = true; state b : bool = true; def v = a + b"),
}


@pytest.mark.parametrize("way", REFUSED)
def test_refused_with_a_line(way: str) -> None:
    errors = [d for d in check(REFUSED[way]).diagnostics if d.severity == "error"]
    assert errors and all(d.primary.line for d in errors)
    if way != "global state":  # has no type
        assert {d.code for d in errors} == {"E0440"}


BACKENDS = [("numpy", {})]
if available()[0]:
    BACKENDS += [("native", {"strategy": "dense"}), ("native", {"strategy": "gather"})]
if shim.compiler() is not None:
    BACKENDS += [("cupy", {"strategy": "dense"}), ("cupy", {"strategy": "gather"})]


@pytest.mark.parametrize("way", ACCEPTED)
def test_accepted_and_every_strategy_agrees(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(backends.BACKENDS, "cupy", ("netdsl.backends.cupy.shim", "ShimExecutor"))
    values = []
    for backend, options in BACKENDS:
        model = netdsl.compile(ACCEPTED[way], backend, dtype="float64", **options)
        model.present(**model.samples("train", 20))
        model.reset()
        for step in steps_of(model.network.protocols["train"].body):
            if isinstance(step, Clamp | SetState):
                model.session.executor.call(step.site)
        model.phase("see")
        values.append(model.state["out.r"])
        model.close()
    for value in values[1:]:
        np.testing.assert_allclose(value, values[0], rtol=0, atol=1e-12)


def test_python_and_files_are_refused() -> None:
    model = netdsl.compile(
        text(
            "state v : bool = true; param b per neuron ~ bernoulli(0.5); "
            "v := v * b and sample.positive"
        ),
        "numpy",
    )
    model.present(**model.samples("train", 3))
    model.reset()
    for path in ("img.v", "img.b"):
        for wrong in (0.5, np.nan, 2, -1):
            with pytest.raises(RunFault) as caught:
                model.state[path] = wrong
            assert caught.value.code == "E0441" and path in caught.value.message
        model.state[path] = 1
    with pytest.raises(RunFault) as caught:
        model.present(image=np.zeros((2, 64)), label=np.zeros(2), positive=np.array([1, 0.5]))
    assert caught.value.code == "E0441"
    state = model.session.lasting()
    state["img.v"] = state["img.v"] * 0.3
    with pytest.raises(RunFault):
        model.session.restore(state, model.session.keys)
