"""Rules with states on projections between parts of a population: they run in reverse alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import netdsl
from netdsl.backends.native import available
from netdsl.diagnostics import DiagnosticError

TEXT = """edition 1
dt = 1 ms
celltype E sign +
celltype I sign -
neuron source { input p; s ~ bernoulli(p) }
neuron unit {
  input i; state v = 0; v := 0.9 * v + i
  spike z when v > 0.5 { v := 0; surrogate triangle(damp = 0.3, width = 1) }
  state y = 0; y := 0.8 * y + z
}
population x : source[10]
population h : unit[9] types { E: 5; I: 4 }
rule traced() {
  eligibility e of w to post.z
  state F = 0; F := 0.7 * F + e; at update { dw = 0.1 * F * post.y }
}
projection W : x -> h dense delay 0 { weight w ~ uniform(0, 0.2); deliver i += w * pre.s }
projection R : R_ENDS WIRES delay 1 step {
  weight w ~ uniform(-0.2, 0.3); deliver i += w * pre.z; learn traced()
}
projection Q : Q_ENDS dense delay 1 step {
  weight w ~ uniform(-0.2, 0.3); deliver i += w * pre.z; learn traced()
}
data d { source = "digits"; batch = 3; split train = train[0, 7] }
protocol train(epochs = 1) { each epoch { each batch of d.train {
  reset; clamp x.p = 0.4; phase run 12 steps learning; update R, Q } } }
"""
PARTS = {"h": slice(0, 9), "h.E": slice(0, 5), "h.I": slice(5, 9)}


def made(r: str, q: str, backend: str = "numpy", wires: str = "dense", **more: Any) -> Any:
    text = TEXT.replace("R_ENDS", r).replace("Q_ENDS", q).replace("WIRES", wires)
    observe = ("R.dw", "Q.dw")
    return netdsl.compile(text, backend, dtype="float64", observe=observe, **more)


def changes(model: Any, ends: tuple[str, str] | None = None) -> list[Any]:
    model.present(image=np.zeros((3, 64)), label=np.zeros(3))
    model.reset()
    model.state["x.p"] = np.full((3, 10), 0.4)
    model.phase("run", steps=12)
    model.update("R", "Q")
    return [np.array(model.session.read(f"{name}.dw")) for name in "RQ"]


@pytest.mark.parametrize(("r", "q"), [("h.E -> h.I", "h.I -> h"), ("h -> h.E", "h.E -> h.E")])
def test_the_change_is_that_of_the_whole(r: str, q: str) -> None:
    """The same as of a projection between whole populations with weights of 0 beside the part."""
    part, whole = made(r, q), made("h -> h", "h -> h", form="online")
    for name, ends in (("R", r), ("Q", q)):
        pre, post = (PARTS[end] for end in ends.split(" -> "))
        weights = np.zeros((9, 9))
        weights[pre, post] = part.state[f"{name}.w"]
        whole.state[f"{name}.w"] = weights
    whole.state["W.w"] = np.array(part.state["W.w"])
    found, wanted = changes(part), changes(whole)
    for one, other, ends in zip(found, wanted, (r, q), strict=True):
        pre, post = (PARTS[end] for end in ends.split(" -> "))
        assert np.abs(one).max() > 0
        np.testing.assert_allclose(one, other[pre, post], rtol=0, atol=1e-13)


@pytest.mark.parametrize("wires", ["dense", "sparse(p = 0.5)", "sparse(p = 0.1)"])
def test_native(wires: str) -> None:
    if not available()[0]:
        pytest.skip("no C compiler")
    found = []
    for backend in ("numpy", "native"):
        model = made("h.E -> h.I", "h.I -> h", backend, wires)
        model.run(epochs=1)
        found.append([np.array(model.state[f"{name}.w"]) for name in "RQ"])
        model.close()
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-12)


def test_step_by_step_is_refused() -> None:
    with pytest.raises(DiagnosticError, match="E0841") as problem:
        made("h.E -> h.I", "h.I -> h", form="online")
    assert "run in reverse" in str(problem.value)
