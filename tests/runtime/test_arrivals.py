"""What arrives after k steps: states, definitions, inputs and clamps, in cells and in rules.

A clamp counts as set before step 0, so an edge of k steps sees it from step k - 1; slots of a delay
line hold the reset value. The expected numbers are computed here from time series.
"""

from __future__ import annotations

import numpy as np
import pytest

import netdsl
from netdsl.backends.cupy import shim

STEPS = (3, 4)  # of the two phases
SPEC = """edition 1
neuron source { state s = 0.5 }
neuron lamp { input p; state held = 0.5; held := p; def q = 2 * p + 1 }
neuron relay {
  input j; state v = 0.25
  v := 0.5 * v + j
  def e = 2 * v - v@prev + 3 * j
}
neuron screen {
  input a; input b; input c; input n
  state ra = 0; state rb = 0; state rc = 0; state rn = 0
  ra := a; rb := b; rc := c; rn := n
}
population x : source[1]
population l : lamp[1]
population y : relay[1]
population z : screen[1]
projection J : x -> y dense delay %(near)s { weight w = 1; deliver j += w * pre.s }
projection A : x -> z dense delay %(k)d steps { weight w = 1; deliver a += w * pre.s }
projection B : l -> z dense delay %(k)d steps { weight w = 1; deliver b += w * pre.q }
projection C : y -> z dense delay %(k)d steps { weight w = 1; deliver c += w * pre.e }
rule probe { dw = pre.sent + 1000 * pre.sent@prev }
projection LA : x -> z dense delay %(k)d steps {
  weight w = 0; deliver n += w * pre.s; learn probe()
}
projection LB : l -> z dense delay %(k)d steps {
  weight w = 0; deliver n += w * pre.q; learn probe()
}
projection LC : y -> z dense delay %(k)d steps {
  weight w = 0; deliver n += w * pre.e; learn probe()
}
data digits { source = "digits"; batch = 1 }
protocol train { each batch of digits.train {
  reset
  clamp x.s = %(clamp)s%(source)s
  clamp l.p = %(clamp)s%(lamp)s
  phase early 3 steps learning
  phase late 4 steps learning
} }
readout shown = z.ra + z.rb + z.rc + z.rn
metric m = mean(sum(shown))
"""
FORMS = {"held": "7", "by step": "7 + phase.step", "by state": "7 + 0.25 * "}


class Line:
    """A value in time: `reset` before step 0."""

    def __init__(self, reset: float) -> None:
        self.reset, self.values = reset, list[float]()

    def ago(self, steps: int) -> float:
        """At the step being computed, the value `steps` steps back (0: of this step, if known)."""
        return self.values[-steps] if steps <= len(self.values) else self.reset


def expected(form: str, near: int, k: int) -> list[dict[str, float]]:
    """What each step ends with."""
    # A clamp's value of step i is the value of the step before: there it joins the line.
    s, q, v, e = Line(0.5), Line(1.0), Line(0.25), Line(0.25)
    found = []
    weights = {"LA": 0.0, "LB": 0.0, "LC": 0.0}
    for step in (i for n in STEPS for i in range(n)):
        clamp = {"held": 7.0, "by step": 7.0 + step, "by state": 7 + 0.25 * s.ago(1)}[form]
        s.values.append(clamp)
        q.values.append(2 * clamp + 1)
        j = clamp if near < 2 else s.ago(near)
        now = 0.5 * v.ago(1) + j
        arrived = {"LA": s.ago(k), "LB": q.ago(k), "LC": e.ago(k)}
        before = {"LA": s.ago(k + 1), "LB": q.ago(k + 1), "LC": e.ago(k + 1)}
        step_end = {"z.ra": arrived["LA"], "z.rb": arrived["LB"], "z.rc": arrived["LC"]}
        step_end["z.rn"] = sum(weights[name] * arrived[name] for name in weights)
        for name in weights:
            weights[name] += arrived[name] + 1000 * before[name]
        e.values.append(2 * now - v.ago(1) + 3 * j)
        v.values.append(now)
        found.append({**step_end, "y.v": now, **{f"{n}.w": w for n, w in weights.items()}})
    return found


def check(model: netdsl.Model, form: str, near: int, k: int) -> None:
    for _ in range(2):  # the second presentation begins as the first one did
        for name in ("LA", "LB", "LC"):
            model.state[f"{name}.w"] = 0.0
        model.present(image=np.ones((1, 64)), label=np.zeros(1))
        model.reset()
        wanted = iter(expected(form, near, k))
        for phase, steps in zip(("early", "late"), STEPS, strict=True):
            for step in range(steps):
                model.step(1, phase)
                for name, value in next(wanted).items():
                    where = (phase, step, name)
                    assert model.state[name].ravel()[0] == pytest.approx(value, rel=1e-12), where


NEAR_AND_K = [(near, k) for near in (0, 1, 2) for k in (1, 2, 3, 4)]
COMPILED = [(0, 1), (1, 3), (2, 4)]  # for these of the delays
CASES = [("numpy", *case) for case in NEAR_AND_K]
CASES += [(backend, *case) for backend in ("native", "cupy") for case in COMPILED]


@pytest.mark.parametrize("backend,near,k", CASES)
@pytest.mark.parametrize("form", FORMS)
def test_arrives_after_its_delay(
    backend: str, form: str, near: int, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend == "cupy":
        if shim.compiler() is None:
            pytest.skip("no g++ for CUDA on the CPU")
        monkeypatch.setattr("netdsl.runtime.backend.executor_class", lambda _: shim.ShimExecutor)
    delay = "0" if near == 0 else f"{near} steps"
    source, lamp = ("x.s", "l.held") if form == "by state" else ("", "")
    named = {"clamp": FORMS[form], "source": source, "lamp": lamp}
    text = SPEC % {"near": delay, "k": k, **named}
    check(netdsl.compile(text, backend, dtype="float64"), form, near, k)
