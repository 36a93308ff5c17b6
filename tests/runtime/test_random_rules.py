"""Random rules with states against what their text says at each synapse and sample."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from netdsl.api import Model
from netdsl.backends.cupy import shim
from netdsl.backends.native import available
from netdsl.frontend import check
from netdsl.passes import lower
from netdsl.runtime import backend as backends

Array = NDArray[np.float64]
M, N, ROWS, STEPS = 4, 3, 3, 5
SPEC = """
edition 1
neuron source {{ state p = 0; state s = 0.25; s := p }}
neuron unit {{ param h per neuron = 0.3 * index; input i; state v = 0.5; v := 0.6 * v + tanh(i) }}
population a : source[4]
population b : unit[3]
modulator m on b {{ scope population; emit mean(v) }}
rule r {{
{rule}
}}
projection W : a -> b {wiring} delay {delay} {{
  weight w ~ uniform(-1, 1); deliver i += w * pre.s; learn r()
}}
protocol train {{ reset; phase run 5 steps learning; {update} }}
"""
ATOMS = ("pre.s", "pre.s@prev", "post.v", "post.v@prev", "post.h", "w", "m", "0.5")
FUNCTIONS = {"tanh": np.tanh, "max": np.maximum}


@dataclass
class Made:
    """A rule as text, and as Python of the same form."""

    seed: int
    states: list[str] = field(default_factory=list)
    lets: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    meaning: list[tuple[str, str]] = field(default_factory=list)  # target, expression
    clock: str = "step"
    reduce: str = "sum"

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        pick = self.random
        self.states = [f"x{k}" for k in range(pick.randint(1, 3))]
        self.clock, self.reduce = pick.choice(("step", "update")), pick.choice(("sum", "mean"))
        # Some rules read one end only, so that their states move there.
        one = (("pre.s", "pre.s@prev", "0.5"), ("post.v", "post.h", "m"))
        ends = pick.choice((ATOMS, ATOMS, *one))
        self.text = [f"  state {name} = {k * 0.25}" for k, name in enumerate(self.states)]
        at_dw = pick.randint(0, 4)
        for k in range(5):
            if k == at_dw and self.clock == "step":
                self._change()
            if pick.random() < 0.35:
                self._statement(f"y{k}", ends, let=True)
                self.lets.append(f"y{k}")
            else:
                self._statement(pick.choice(self.states), ends, let=False)
        if self.clock == "update":
            term = self._tree(2, (*self.states, *ATOMS[:1], "post.v", "w", "m"))
            value = f"({term}) * {self.states[0]} + pre.s * post.v"
            self._put("dw", value, "  at update {{ dw = {} }}")
        self.text.append(f"  reduce {self.reduce} over batch")

    def _change(self) -> None:
        known = (*self.states, *(f"{s}@prev" for s in self.states), *self.lets, "post.v", "w")
        value = f"0.1 * {self.states[0]} * ({self._tree(2, known)}) + pre.s * post.v"
        self._put("dw", value, "  dw = {}")

    def _statement(self, target: str, ends: tuple[str, ...], *, let: bool) -> None:
        known = (*ends, *self.states, *(f"{s}@prev" for s in self.states), *self.lets)
        value = f"0.6 * tanh({self._tree(2, known)})"
        self._put(target, value, f"  let {target} = {{}}" if let else f"  {target} := {{}}")

    def _put(self, target: str, value: str, form: str) -> None:
        python = value.replace("pre.", "pre_").replace("post.", "post_")
        self.text.append(form.format(value))
        self.meaning.append((target, python.replace("@prev", "_prev")))

    def _tree(self, depth: int, atoms: tuple[str, ...]) -> str:
        pick = self.random
        if depth == 0 or pick.random() < 0.2:
            return pick.choice(atoms)
        one, two = self._tree(depth - 1, atoms), self._tree(depth - 1, atoms)
        kind = pick.choice(("+", "-", "*", "max", "tanh"))
        if kind in "+-*":
            return f"({one} {kind} {two})"
        return f"max({one}, {two})" if kind == "max" else f"tanh({one})"


class Direct:
    """The rule at each synapse and sample, from what its ends were."""

    def __init__(self, made: Made) -> None:
        self.made = made
        self.held = {n: np.full((ROWS, M, N), k * 0.25) for k, n in enumerate(made.states)}

    def change(self, dw: Array) -> Array:
        total = np.broadcast_to(dw, (ROWS, M, N)).sum(0)
        return np.asarray(total / ROWS if self.made.reduce == "mean" else total)

    def run(self, reads: dict[str, Array], *, update: bool = False) -> Array | None:
        """One step, or the `dw` of an update."""
        names: dict[str, Any] = {**reads, **FUNCTIONS, **self.held}
        names |= {f"{name}_prev": value for name, value in self.held.items()}
        found = None
        for target, code in self.made.meaning:
            at_update = target == "dw" and self.made.clock == "update"
            if at_update != update:
                continue
            names[target] = eval(code, {"__builtins__": {}}, names)
            if target == "dw":
                found = np.asarray(names[target])
        if not update:
            ones = np.ones((ROWS, M, N))
            self.held = {name: names[name] * ones for name in self.held}
        return found


def run(made: Made, backend: str, wiring: str, synapses: str, delay: int) -> None:
    update = "update W" if made.clock == "update" else ""
    text = SPEC.format(
        rule="\n".join(made.text), wiring=wiring, delay=f"{delay} step", update=update
    )
    network = check(text, lower=False).require()
    program = lower(network, synapses=synapses, observe=("m.b",))
    model = Model(network, program, backend, 1, "float64", rows=ROWS)
    drawn = np.random.default_rng(made.seed)
    model.present(label=np.zeros(ROWS))
    model.reset()
    state, direct = model.state, Direct(made)
    sent = [np.array(state["a.s"])] * (delay + 2)
    mask = (state["W.w"] != 0).astype(float)
    v = np.array(state["b.v"])
    for _ in range(STEPS):
        w, before = np.array(state["W.w"]), v
        state["a.p"] = drawn.normal(0, 1, (ROWS, M))
        model.step(phase="run")
        v = np.array(state["b.v"])
        sent = [np.array(state["a.s"]), *sent[:-1]]
        reads = _reads(sent, delay, v, before, w)
        dw = direct.run(reads)
        for name, value in direct.held.items():
            found = state[f"W.r.{name}"]
            wanted = value * mask if found.shape == value.shape else value
            np.testing.assert_allclose(_whole(found, value.shape), wanted, 0, 1e-11, err_msg=text)
        if dw is not None:
            _same(state["W.w"], w + mask * direct.change(dw), text)
    if update:
        w = np.array(state["W.w"])
        model.update()
        now = _reads([sent[0]] * (delay + 2), delay, v, v, w)
        dw = direct.run(now, update=True)
        assert dw is not None
        _same(state["W.w"], w + mask * direct.change(dw), text)
    model.close()


def _reads(sent: list[Array], delay: int, v: Array, before: Array, w: Array) -> dict[str, Array]:
    return {
        "pre_s": sent[delay][:, :, None],
        "pre_s_prev": sent[delay + 1][:, :, None],
        "post_v": v[:, None, :],
        "post_v_prev": before[:, None, :],
        "post_h": 0.3 * np.arange(N),
        "w": w,
        "m": v.mean(1)[:, None, None],
    }


def _whole(found: Array, shape: tuple[int, ...]) -> Array:
    """A state as one for each synapse and sample, wherever it is kept."""
    if found.shape == shape:
        return found
    if found.ndim == 1:
        return np.broadcast_to(found[:, None, None], shape)
    return np.broadcast_to(found[:, :, None] if found.shape[1] == M else found[:, None, :], shape)


def _same(found: Array, wanted: Array, text: str) -> None:
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-11, err_msg=text)


WIRINGS = [("dense", "auto"), ("sparse(p = 0.6)", "edges"), ("sparse(p = 0.6)", "masked")]
BACKENDS = [
    pytest.param("native", marks=pytest.mark.skipif(not available()[0], reason="no C compiler")),
    pytest.param("shim", marks=pytest.mark.skipif(shim.compiler() is None, reason="no g++")),
]


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(WIRINGS), st.integers(1, 3))
def test_numpy(seed: int, wired: tuple[str, str], delay: int) -> None:
    run(Made(seed), "numpy", *wired, delay)


@pytest.mark.parametrize("seed", [1, 7])
@pytest.mark.parametrize("backend", BACKENDS)
def test_compiled(backend: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    place = ("netdsl.backends.cupy.shim", "ShimExecutor")
    monkeypatch.setitem(backends.BACKENDS, "shim", place)
    run(Made(seed), backend, *WIRINGS[seed % 3], 1 + seed % 2)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_many(seed: int) -> None:
    run(Made(seed), "numpy", *WIRINGS[seed % 3], 1 + seed // 3 % 3)
