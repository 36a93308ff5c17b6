"""Rules declared online give the same change step by step and in a reverse sweep."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netdsl
from netdsl.frontend import check
from netdsl.ir.protocol import Each, steps_of
from netdsl.passes.lower.context import Context
from netdsl.passes.lower.form import forms
from netdsl.passes.network.place import placed
from netdsl.runtime.engine import Interpreter
from netdsl.runtime.errors import RunFault

SPEC = Path(__file__).resolve().parents[2] / "specs" / "mdgl.net"
SMALL = {
    "n": 8, "n_inh": 3, "n_regular": 4, "p": 0.5, "cues.n_cue": 7, "cues.cue": 3, "cues.pause": 1,
    "cues.delay": 5, "cues.recall": 4, "cues.cue_rate": 0.4, "cues.noise_rate": 0.2,
    "feedback": "random", "rewiring": False,
}  # fmt: skip
RULES = ("eprop", "rflo", "mdgl", "onmdgl", "nlmdgl", "mdgl_exact")


def changes(
    rule: str,
    form: str,
    backend: str,
    observe: tuple[str, ...] = (),
    keep: str = "auto",
    **more: Any,
) -> dict[str, Any]:
    """The changes of both projections after two batches, where observed, and their weights."""
    model = netdsl.compile(
        SPEC, backend, set={**SMALL, "rule": rule, **more}, dtype="float64", form=form,
        observe=observe, keep=keep,
    )  # fmt: skip
    steps = steps_of(model.network.protocols["train"].body)
    batch = next(s for s in steps if isinstance(s, Each) and s.kind == "batch")
    interpreter = Interpreter(model.session, model.datasets)
    for _ in range(2):
        interpreter.block((batch,))
    found = {key: np.array(model.session.read(key)) for key in observe}
    found |= {key: np.array(model.state[key]) for key in ("W.mag", "R.mag")}
    held = {b.of for b in model.program.buffers.values()}
    kept = any(name.startswith("W.") and name.endswith(".F") for name in held)
    assert kept == (form == "online"), "the form that was asked for"
    model.close()
    return found


def same(rule: str, backend: str, **more: Any) -> None:
    """The forms agree in what they change, and in the weights whether that is observed or not."""
    changed = ("W.dw", "R.dw")
    online = changes(rule, "online", backend, changed, **more)
    assert np.abs(online["W.dw"]).max() > 0
    for observe in (changed, ()):
        swept = changes(rule, "reverse", backend, observe, **more)
        for key, value in swept.items():
            scale = np.abs(online[key]).max()
            assert np.abs(value - online[key]).max() <= 1e-11 * scale, key


@pytest.mark.parametrize("rule", ["rflo", "mdgl"])
def test_on_numpy(rule: str) -> None:
    same(rule, "numpy")


def test_on_native() -> None:
    same("onmdgl", "native")


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("rule", RULES)
def test_every_rule(rule: str, backend: str) -> None:
    same(rule, backend)
    same(rule, backend, p=0.9)
    same(rule, backend, feedback="symmetric", gains="given")


CELLS = """edition 1
dt = 1 ms
neuron source { input p; s ~ bernoulli(p) }
neuron unit { input i; state v = 0; v := 0.9 * v + i; def r = tanh(v); state y = 0; y := y + r }
population x : source[64]
population h : unit[5]
rule learns() { STATE; at update { dw = DW } }
projection W : x -> h dense delay 1 step {
  weight w ~ uniform(-1, 1)
  deliver i += w * pre.s
  learn learns()
}
data d { source = "digits"; batch = 3; split train = train[0, 6] }
protocol train(epochs = 1) { each epoch { each batch of d.train { BODY } } }
"""
STATE, DW = "state e = 0; e := 0.8 * e + pre.s * post.r", "e * post.y"
BODY = "reset; clamp x.p = 0.3; phase run 4 steps learning; update W"
ONLINE = [
    ("state e = 0; e := 0.8 * e + pre.s * post.r * e", DW, BODY, "not one of the unit"),
    ("state e = 0; e := tanh(e) + pre.s * post.r", DW, BODY, "no linear recursion"),
    ("state e = 1; e := 0.8 * e + pre.s * post.r", DW, BODY, "does not start from 0"),
    ("state e = 0; e := 0.8 * e + post.r + pre.s", DW, BODY, "no linear recursion"),
    (STATE, "e * e", BODY, "no linear recursion"),
    (STATE, "e * pre.s", BODY, "another factor"),
    (STATE, DW, BODY.replace("reset; ", ""), "between `reset`"),
    (STATE, DW, BODY.replace("update", "phase rest 2 steps; update"), "between `reset`"),
]


def both_forms(text: str, *paths: str) -> dict[str, tuple[Any, Any]]:
    """What two batches change, by each form."""
    found: dict[str, list[Any]] = {path: [] for path in paths}
    for form in ("online", "reverse"):
        model = netdsl.compile(text, "numpy", dtype="float64", form=form, observe=paths)
        model.run(epochs=1)
        for path in paths:
            found[path].append(np.array(model.session.read(path)))
        model.close()
    return {path: (online, swept) for path, (online, swept) in found.items()}


TWO_PHASES = """
  phase run 14 steps learning W; update W
  reset; phase again 12 steps learning V; update V
"""
MORE = [
    # an equal recursion in another phase is another one
    ("state e = 0; e := 0.8 * e + pre.s * post.r", "e * post.y", TWO_PHASES),
    # the state of a unit is read before it advances
    ("state a = 0; state e = 0; e := 0.8 * e + pre.s * a; a := 0.5 * a + post.r", DW, "learn"),
    ("state a = 0; state e = 0; a := 0.5 * a + post.r; e := 0.8 * e + pre.s * a", DW, "learn"),
    (STATE, "e * post.y - 0.1 * pre.s * post.r + 0.01 * w", "learn"),
]


@pytest.mark.parametrize(("state", "dw", "body"), MORE)
def test_the_same_change(state: str, dw: str, body: str) -> None:
    text = CELLS.replace("STATE", state).replace("DW", dw)
    second = text[text.index("projection W") : text.index("data d")].replace("W :", "V :")
    text = text.replace("data d", f"{second}data d")
    learn = "phase run 12 steps learning; update W, V"
    text = text.replace("BODY", f"reset; clamp x.p = 0.3; {learn if body == 'learn' else body}")
    for path, (online, swept) in both_forms(text, "W.dw", "V.dw").items():
        assert np.abs(online).max() > 0
        np.testing.assert_allclose(swept, online, rtol=0, atol=1e-11 * np.abs(online).max())


SPIKES = """edition 1
dt = 1 ms
neuron source { input p; s ~ bernoulli(p) }
neuron unit {
  input i; input m
  state v = 0; v := 0.9 * v + i
  spike z when v > 0.5 { v := 0; surrogate triangle(damp = 0.3, width = 1) }
  def psi = grad(z, v)
  def a = psi * sin(v)
  state y = 0; y := 0.8 * y + z
}
population x : source[16]
population h : unit[7]
rule traced() {
  eligibility e of w to post.z
  state F = 0; F := 0.8 * F + 0.2 * e
  state G = 0; G := 0.7 * G + 0.3 * e@prev * post.m
  at update { dw = 0.01 * (post.y * F + 0.3 * G) }
}
projection W : x -> h dense delay 0 {
  weight w ~ uniform(0, 0.2); deliver i += w * pre.s; learn traced()
}
projection R : h -> h dense delay 1 step {
  weight w ~ uniform(-0.2, 0.2); deliver i += w * pre.z; learn traced()
}
projection M : h -> h dense fixed delay 0 { weight w ~ uniform(-1, 1); deliver m += w * pre.SENT }
data d { source = "digits"; batch = 3; split train = train[0, 7] }
protocol train(epochs = 1) { each epoch { each batch of d.train {
  reset; clamp x.p = 0.3; phase run STEPS steps learning; update W, R } } }
"""


@pytest.mark.parametrize("steps", [1, 2, 13])
@pytest.mark.parametrize("sent", ["a", "z", "y", "v"])
def test_spikes_that_reset_and_what_comes_back_from_them(sent: str, steps: int) -> None:
    text = SPIKES.replace("SENT", sent).replace("STEPS", str(steps))
    for path, (online, swept) in both_forms(text, "W.dw", "R.dw").items():
        assert np.abs(online).max() > 0 or steps < 13
        np.testing.assert_allclose(swept, online, rtol=0, atol=1e-11)


def test_what_arrives_is_delivered_again_and_not_kept() -> None:
    """Of each step one number per unit is kept where what comes back is made of the same slope."""
    whole = netdsl.compile(SPEC, "numpy", set={**SMALL, "rule": "mdgl"})
    kept = [b.name for b in whole.program.buffers.values() if b.owner == "rec" and b.slots > 2]
    real = [name for name in kept if not whole.program.buffers[name].packed]
    assert len(real) == 1, kept
    step = next(r for r in whole.program.routines.values() if r.phase == "trial").step
    assert not any(getattr(op, "projection", "") == "M" for op in step)


def test_what_is_driven_by_hand_has_to_run_as_the_sweep_goes() -> None:
    text = CELLS.replace("STATE", STATE).replace("DW", DW)
    text = text.replace("BODY", "reset; clamp x.p = 0.3; phase run 12 steps learning; update W")
    sample = {"image": np.full((3, 64), 0.5), "label": np.zeros(3)}

    def driven(form: str, *phases: int) -> Any:
        model = netdsl.compile(text, "numpy", dtype="float64", form=form, observe=("W.dw",))
        model.present(**sample)
        model.reset()
        for steps in phases:
            model.phase("run", steps=steps)
        model.update("W")
        return np.array(model.session.read("W.dw"))

    np.testing.assert_allclose(driven("reverse", 12), driven("online", 12), rtol=1e-10)
    assert driven("online", 5).any() and driven("online", 12, 12).any()
    for phases in ((5,), (12, 12), (5, 12)):
        with pytest.raises(RunFault, match="E0748"):
            driven("reverse", *phases)


def test_a_form_that_is_none() -> None:
    with pytest.raises(RunFault, match="E0749"):
        netdsl.compile(CELLS, form="nonsense")


def form_of(state: str, dw: str, body: str) -> tuple[bool, str]:
    text = CELLS.replace("STATE", state).replace("DW", dw).replace("BODY", body)

    network = placed(check(text, lower=False).require())
    context = Context(network)
    notes = forms(context, "auto")
    return "W" in context.transposed, notes.get("W", "")


def test_a_linear_recursion_is_swept() -> None:
    assert form_of(STATE, DW, BODY)[0]


@pytest.mark.parametrize(("state", "dw", "body", "why"), ONLINE)
def test_others_advance_with_each_step(state: str, dw: str, body: str, why: str) -> None:
    swept, note = form_of(state, dw, body)
    assert not swept and why in note, note
