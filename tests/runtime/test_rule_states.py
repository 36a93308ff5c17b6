"""States of rules: equations and traces, start values, resets, slices, signs, memory, resuming."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import netdsl
from netdsl.backends.cupy import shim
from netdsl.backends.native import available
from netdsl.ir.network import Place
from netdsl.ir.program import Product, SynapseUpdate
from netdsl.runtime import backend as backends
from netdsl.runtime.errors import RunFault
from netdsl.runtime.memory import require_memory
from netdsl.tools.replay import Presentation, Trace
from netdsl.tools.replay import replay as model_replay

Array = NDArray[np.float64]
SPEC = """
edition 1
dt = 1 ms
param lr = 0.1
{before}
neuron source {{ state p = 0; state s = 0; s := p; trace z of s {{ tau = 5 ms }} }}
neuron unit {{ input i; state v = 0.5; v := 0.6 * v + 0.1 * i; {cell} }}
population a : source[4] {types}
population b : unit[3]
rule r {{ {rule} }}
projection W : {ends} {wiring} delay {delay} {{
  weight w ~ uniform(0.1, 1); deliver i += w * pre.s; learn r(); {tail}
}}
protocol train {{ reset; phase run 5 steps learning; {update} }}
protocol forget {{ reset b; phase run 1 step }}
"""
BACKENDS = [
    "numpy",
    pytest.param("native", marks=pytest.mark.skipif(not available()[0], reason="no C compiler")),
    pytest.param("shim", marks=pytest.mark.skipif(shim.compiler() is None, reason="no g++")),
]
FACTORS = "state f = 0; f := 0.9 * f + pre.s * post.v;"


@pytest.fixture(autouse=True)
def _shim(monkeypatch: pytest.MonkeyPatch) -> None:
    place = ("netdsl.backends.cupy.shim", "ShimExecutor")
    monkeypatch.setitem(backends.BACKENDS, "shim", place)


def text(rule: str, **parts: str) -> str:
    known = dict.fromkeys(("before", "cell", "types", "tail", "update"), "")
    known |= {"ends": "a -> b", "wiring": "dense", "delay": "1 step"}
    return SPEC.format(rule=rule, **{**known, **parts})


def compiled(rule: str, backend: str = "numpy", observe: Any = (), **parts: str) -> netdsl.Model:
    model = netdsl.compile(
        text(rule, **parts), backend, dtype="float64", rows=3, observe=list(observe)
    )
    model.present(label=np.zeros(3))
    model.reset()
    return model


def steps(model: netdsl.Model, number: int = 6, seed: int = 0) -> list[dict[str, Array]]:
    """What all variables were at the end of each step."""
    drawn = np.random.default_rng(seed)
    found = []
    for _ in range(number):
        model.state["a.p"] = drawn.normal(0, 1, (3, 4))
        model.step(phase="run", protocol="train")
        found.append({path: np.array(model.state[path]) for path in model.state})
    return found


def near(found: Array, wanted: Array) -> None:
    np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("method", ["euler", "exact", "rk4"])
def test_equation(backend: str, method: str) -> None:
    tau, rule = 0.02, "state z = 0; d z/dt = (pre.s * post.v - z) / (20 ms)"
    model = compiled(f"{rule}; integrate z with {method}; dw = 0 * z", backend)
    z, late = np.zeros((3, 4, 3)), np.zeros((3, 4))
    for now in steps(model):
        drive, x = late[:, :, None] * now["b.v"][:, None, :], 0.001 / tau
        decay = {"euler": 1 - x, "exact": np.exp(-x)}
        decay["rk4"] = 1 - x + x**2 / 2 - x**3 / 6 + x**4 / 24
        z = drive + (z - drive) * decay[method]
        near(now["W.r.z"], z)
        late = now["a.s"]


def test_trace_is_the_one_of_the_cell() -> None:
    model = compiled(
        "trace z of pre.s { tau = 5 ms }; dw = 0.1 * z * post.v", delay="0", observe=["a.z"]
    )
    assert model.program.buffers["W.r.z"].place is Place.UNIT
    for now in steps(model):
        near(now["W.r.z"], now["a.z"])


def products(model: netdsl.Model) -> list[Product]:
    ops = [op for r in model.program.routines.values() for op in (*r.once, *r.step)]
    sums = [s for op in ops if isinstance(op, SynapseUpdate) for s in op.sums]
    return [p for total in sums for p in total.products]


def test_what_follows_from_one_end_is_kept_there() -> None:
    rule = "state eps = 0; eps := 0.9 * eps + 0.1 * pre.s; let e = post.v * eps; dw = e"
    model = compiled(rule)
    assert model.program.buffers["W.r.eps"].owner == "a"
    assert [p.pre for p in products(model)] == ["W.r.eps"]  # two vectors, no matrix
    memory, schedule = model.show("memory"), model.show("schedule")
    for shown in (memory, schedule):
        assert "one per unit of `a` and sample: it reads presynaptic values only" in shown
    assert not [b for b in model.program.buffers.values() if b.place is Place.ROW_SYNAPSE]
    kept = compiled(f"{rule}; state F = 0; F := F + e; dw = F")
    assert "one per synapse and sample: it follows from both ends" in kept.show("memory")


@pytest.mark.parametrize("wiring", ["dense", "sparse(p = 0.6)"])
def test_reset_of_the_target_begins_anew(wiring: str) -> None:
    rule = (
        f"state x = 2; x := x + pre.s; {FACTORS} state q = 1; q := q * post.v; dw = 0 * f * x * q"
    )
    model = compiled(rule, wiring=wiring, cell="state k = 0 keep; k := k + 1")
    steps(model)
    before = np.array(model.state["W.r.f"])
    model.reset("a")
    near(model.state["W.r.f"], before)
    model.reset("b")
    assert not model.state["W.r.f"].any()
    assert (model.state["W.r.x"] == 2).all() and (model.state["W.r.q"] == 1).all()


def test_start_where_only_some_synapses_are() -> None:
    rule = "state f = 3; f := f + pre.s * post.v; dw = 0 * f"
    masked = compiled(rule, wiring="sparse(p = 0.5)")
    exists = masked.state["W.w"] != 0
    assert exists.any() and not exists.all()
    near(masked.state["W.r.f"], np.broadcast_to(3.0 * exists, (3, 4, 3)))
    for now in steps(masked):
        assert not now["W.r.f"][:, ~exists].any()


def test_kept_states_outlast_a_reset() -> None:
    model = compiled("state f = 1 keep; f := f + pre.s * post.v; dw = 0 * f")
    near(model.state["W.r.f"], np.ones((3, 4, 3)))
    last = steps(model)[-1]["W.r.f"]
    model.reset()
    near(model.state["W.r.f"], last)


@pytest.mark.parametrize("backend", BACKENDS)
def test_parts_of_populations(backend: str) -> None:
    """What follows from one end alone is kept for the whole population."""
    rule = "state e = 0; e := 0.5 * e + pre.s; state f = 0; f := 0.9 * f + post.v; dw = 0.1 * f * e"
    model = compiled(rule, backend, types="types { E: 1; I: 3 }", ends="a.I -> b", delay="0")
    e, f, w = np.zeros((3, 4)), np.zeros((3, 3)), np.array(model.state["W.w"])
    for now in steps(model):
        e = 0.5 * e + now["a.s"]
        f = 0.9 * f + now["b.v"]
        w = w + 0.1 * e[:, 1:].T @ f
        near(now["W.r.e"], e)
        near(now["W.r.f"], f)
        near(now["W.w"], w)


SIGNED = "celltype E sign +\ncelltype I sign -"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("wiring", ["dense sign by pre", "sparse(p = 0.7) sign by pre"])
def test_signed_weights_and_their_tail(backend: str, wiring: str) -> None:
    """`dw` is of the effective strength, the rest of what is stored; states enter both."""
    rule = FACTORS + "at update { dw = 0.1 * f * post.v - 0.01 * pre.s * post.v }"
    rule += "subtract 0.001 * f; reduce mean over batch"
    parts = {"before": SIGNED, "types": "types { E: 2; I: 2 }", "update": "update W"}
    model = compiled(rule, backend, wiring=wiring, tail="bound w in [0, 2]", **parts)
    sign = np.array([1, 1, -1, -1])[:, None]
    mag, now = np.array(model.state["W.mag"]), steps(model)[-1]
    f, v, s = now["W.r.f"], now["b.v"][:, None, :], now["a.s"][:, :, None]
    dw = (0.1 * f * v - 0.01 * s * v).mean(0)
    model.update()
    wanted = np.clip(mag + sign * (dw - 0.001 * f.mean(0)), 0, 2)
    assert np.abs(dw).max() > 0.001
    near(model.state["W.mag"], np.where(mag > 0, wanted, 0))


def test_lets_can_be_observed() -> None:
    rule = "let e = pre.s * post.v; state f = 0; f := f + e; dw = 0 * f"
    model = compiled(rule, observe=["W.r.e"], delay="0")
    for now in steps(model):
        near(now["W.r.e"], now["a.s"][:, :, None] * now["b.v"][:, None, :])


def test_value_before_the_step_and_order_of_statements() -> None:
    rule = "state g = 0; state f = 0; f := f + pre.s * post.v; g := g + f - f@prev; dw = f"
    model = compiled(rule + "; f := 0.5 * f; dw = f", delay="0")
    f, g, w = np.zeros((3, 4, 3)), np.zeros((3, 4, 3)), np.array(model.state["W.w"])
    for now in steps(model):
        new = f + now["a.s"][:, :, None] * now["b.v"][:, None, :]
        g, f, w = g + new - f, 0.5 * new, w + (1.5 * new).sum(0)
        near(now["W.r.g"], g)
        near(now["W.w"], w)


def test_states_rest_where_nothing_learns() -> None:
    model = compiled(FACTORS + "dw = 0 * f")
    last = steps(model)[-1]["W.r.f"]
    assert last.any()
    model.step(phase="run", protocol="forget")
    near(model.state["W.r.f"], last)


def test_too_large_is_refused_with_its_size() -> None:
    large = text(FACTORS + "dw = f").replace("source[4]", "source[4000]")
    program = netdsl.compile(large.replace("unit[3]", "unit[5000]")).program
    with pytest.raises(RunFault, match=r"E0820.*256 samples.*`W\.r\.f` 19\.1 GiB") as raised:
        require_memory(program, 256, "float32", available=8 << 30)
    assert "show memory" in str(raised.value)


DATA = """
data digits { source = "digits"; batch = 3; split train = train[0, 8]; split test = test[0, 5] }
readout out = sum(b.v)
metric m = mean(out)
protocol train(epochs = 2) {
  each epoch {
    each batch of digits.train { clamp a.p = sample.image; phase run 3 steps learning; update W }
    evaluate test(digits.test) limit 4
  }
}
protocol test(split) {
  each batch of split { reset; clamp a.p = sample.image; phase run 3 steps }
}
"""


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_a_resumed_run_goes_on_where_it_was(backend: str, tmp_path: Path) -> None:
    """States that no reset touches pass evaluations, smaller batches and a checkpoint unharmed."""
    if backend == "native" and not available()[0]:
        pytest.skip("no C compiler")
    head = text(FACTORS + "at update { dw = 0.001 * f }").split("protocol train")[0]
    spec = head.replace("source[4]", "source[64]") + DATA

    def run(epochs: int, out: str | None = None, resume: str | None = None) -> netdsl.Model:
        model = netdsl.compile(spec, backend, dtype="float64")
        place = None if out is None else tmp_path / out
        back = None if resume is None else next(iter(sorted((tmp_path / resume).iterdir())))
        model.run(epochs=epochs, out=place, resume=back)
        return model

    whole = run(2)
    run(1, "half")
    again = run(2, None, "half")
    for path in ("W.w", "W.r.f"):
        np.testing.assert_array_equal(whole.state[path], again.state[path])
    assert whole.state["W.r.f"].any()


def test_lets_that_double_are_not_written_out() -> None:
    """Each is read twice by the next: written out there would be 2^40 operations."""
    lets = "; ".join(f"let y{k} = y{k - 1} * y{k - 1}" for k in range(1, 40))
    model = compiled(f"{FACTORS} let y0 = tanh(f); {lets}; dw = 0.1 * y39 * post.v")
    assert np.isfinite(steps(model, 2)[-1]["W.w"]).all()


def test_a_trace_can_expect_states() -> None:
    head = text(FACTORS + "at update { dw = 0.001 * f }").split("protocol train")[0]
    spec = head.replace("source[4]", "source[64]") + DATA
    image = np.random.default_rng(1).uniform(0, 1, (3, 64))
    model = netdsl.compile(spec, "numpy", dtype="float64", observe=["W.r.f", "b.v"], rows=3)
    w, v = np.array(model.state["W.w"]), np.full((3, 3), 0.5)
    s, f, expected = np.zeros((3, 64)), np.zeros((3, 64, 3)), []
    for _ in range(3):
        v = 0.6 * v + 0.1 * (s @ w)
        f = 0.9 * f + s[:, :, None] * v[:, None, :]
        s = image
        expected.append(f)
    shown = Presentation(
        sample={"image": image}, expect={"W.r.f": np.array(expected)}, update={"W.r.f": f}
    )
    report = model_replay(model, Trace({"W.w": w}, (shown,)), tolerance=1e-12)
    assert report.ok and report.differences["W.r.f"].size == 3 * f.size
