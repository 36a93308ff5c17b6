"""`rewire`: budgets and structures are kept, draws come from the seed, on every backend alike."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import netdsl
from netdsl.api import Model
from netdsl.backends.cupy import shim
from netdsl.backends.native import available
from netdsl.diagnostics import DiagnosticError
from netdsl.frontend import check
from netdsl.ir.protocol import Rewire
from netdsl.runtime.initial import initial_values
from netdsl.runtime.rewiring import rewire
from netdsl.runtime.session import Session
from netdsl.runtime.steps import all_steps
from netdsl.streams.connectivity import synapses_of
from tests.amounts import up_to

no_compiler = pytest.mark.skipif(not available()[0], reason="no C compiler")
no_shim = pytest.mark.skipif(shim.compiler() is None, reason="no g++ for CUDA on the CPU")

TEXT = """\
edition 1
celltype E sign +
celltype I sign -
neuron source {{ state s = 0 }}
neuron unit {{ input i; state r = 0; r := tanh(i) }}
population a : source[64] types {{ E: 50; I: 14 }}
population b : unit[10] types {{ I: 4; E: 6 }}
rule turnover {{
  at update {{ dw = 0.05 * pre.s * post.r }}
  after update {{ mag := mag - 0.03 if mag > 0 else 0 }}
}}
rule plain {{ at update {{ dw = 0.01 * pre.r * post.r }} }}
projection W : a -> b {wires} sign by pre delay 0 {{
  weight w ~ uniform(0, 0.2)
  deliver i += w * pre.s
  learn turnover()
}}
projection R : b -> b sparse(p = 0.4, draw = pairs_with_replacement) delay 1 step {{
  weight w ~ uniform(-0.2, 0.2)
  deliver i += w * pre.r
  learn plain()
}}
rewire closed over W, R {{
  prune where {prune}
  budget = {budget}
  regrow {count} among initial weighted by {share} at 1e-12
}}
data digits {{ source = "digits"; batch = 20; split train = train[0, 60] }}
protocol train(epochs = 2) {{
  each epoch {{
    each batch of digits.train {{
      reset
      clamp a.s = sample.image
      phase run 2 steps
      update W, R
      rewire closed
    }}
    evaluate test(digits.test) as test limit 20 samples
  }}
}}
protocol test(split) {{
  each batch of split {{ reset; clamp a.s = sample.image; phase run 2 steps }}
}}
metric alive = W.present + R.present
metric room = W.pairs + R.pairs
"""


def text(
    wires: str = "sparse(p = 0.3)",
    prune: str = "abs(w) < 0.02",
    budget: str = "int(0.5 * pairs)",
    count: str = "max(0, budget - present)",
    share: str = "pairs",
) -> str:
    return TEXT.format(wires=wires, prune=prune, budget=budget, count=count, share=share)


def made(spec: str, backend: str = "numpy", seed: int = 1, dtype: str = "float64") -> Model:
    return netdsl.compile(spec, backend, seed=seed, dtype=dtype, rows=20)


def live(model: Model) -> dict[str, np.ndarray]:
    return {"W": model.state["W.mag"] > 0, "R": model.state["R.w"] != 0}


def structure(model: Model, name: str) -> np.ndarray:
    found = synapses_of(model.program, name, model.seed)
    assert found is not None
    return found.matrix(np.ones(found.count, bool))


@given(
    wires=st.sampled_from(["sparse(p = 0.05)", "sparse(p = 0.3)", "fixed_in(20)", "dense"]),
    seed=st.integers(0, 100),
    room=st.integers(0, 60),
    count=st.sampled_from(["max(0, budget - present)", "1000", "3"]),
)
@settings(max_examples=up_to(6), deadline=None)
def test_a_budget_and_a_structure_are_kept(wires: str, seed: int, room: int, count: str) -> None:
    loose = made(text(wires, budget="pairs"), seed=seed)
    if wires == "dense":
        before = {"W": np.ones((64, 10), bool), "R": structure(loose, "R")}
    else:
        before = {name: structure(loose, name) for name in ("W", "R")}
    closed = {"W": loose.state["W.mag"] < 0.02, "R": np.abs(loose.state["R.w"]) < 0.02}
    start = sum(int((before[n] & ~closed[n]).sum()) for n in before)
    model = made(text(wires, budget=str(start + room), count=count), seed=seed)
    old = {"W": model.state["W.mag"], "R": model.state["R.w"]}
    model.rewire()
    new = {"W": model.state["W.mag"], "R": model.state["R.w"]}
    alive = live(model)
    total = sum(int(mask.sum()) for mask in alive.values())
    assert start <= total <= start + (3 if count == "3" else room)
    for name in ("W", "R"):
        assert not (alive[name] & ~before[name]).any()
        kept = before[name] & ~closed[name]
        assert (new[name][kept] == old[name][kept]).all()
        assert set(np.unique(new[name][~kept])) <= {0.0, 1e-12}


def test_synapses_are_spread_by_share() -> None:
    model = made(text(budget="10000", prune="abs(w) < 9", count="100"))
    model.rewire()
    found = {name: int(mask.sum()) for name, mask in live(model).items()}
    assert 0 < found["R"] < 40 < found["W"] <= 100  # of 640 and 100 pairs
    only = made(text(prune="abs(w) < 9", count="20", share="1 if pairs < 200 else 0"))
    only.rewire()
    assert live(only)["W"].sum() == 0 and live(only)["R"].sum() == 20


@pytest.mark.parametrize("backend", ["numpy", pytest.param("native", marks=no_compiler)])
@pytest.mark.parametrize("wires", ["sparse(p = 0.05)", "sparse(p = 0.3)"])
def test_all_backends_open_the_same(backend: str, wires: str) -> None:
    model, reference = made(text(wires), backend), made(text(wires))
    for _ in range(3):
        model.rewire()
        reference.rewire()
    for path in ("W.mag", "R.w"):
        assert np.array_equal(model.state[path], reference.state[path])
    assert not np.array_equal(made(text(wires), seed=2).state["W.mag"], model.state["W.mag"])


@no_shim
def test_cuda_opens_the_same() -> None:
    reference = made(text("sparse(p = 0.05)"))
    program = reference.program
    executor = shim.ShimExecutor(
        program, initial_values(program, 1), rows=20, dtype="float64", seed=1
    )
    session = Session(reference.network, program, executor, 1)
    (step,) = [s for s in all_steps(reference.network) if isinstance(s, Rewire)]
    for _ in range(2):
        rewire(session, step)
        reference.rewire()
    for path in ("W.mag", "R.w"):
        assert np.array_equal(session.read(path), reference.state[path])


def test_a_choice_can_be_given() -> None:
    model = made(text())
    seen: dict[str, np.ndarray] = {}

    def all_of_one(name: str, closed: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        assert name == "closed"
        seen.update(closed)
        return {"R": closed["R"]}

    model.choice = all_of_one
    model.rewire("closed")
    assert seen["R"].any() and (model.state["R.w"][seen["R"]] == 1e-12).all()
    assert (model.state["W.mag"][seen["W"]] == 0).all()


@pytest.mark.parametrize("wires", ["sparse(p = 0.05)", "sparse(p = 0.3)"])
def test_what_runs_next_sees_it(wires: str) -> None:
    """A delivery after a rewiring is that of the new weights."""
    model = made(text(wires, prune="abs(w) < 0.1"))
    x = np.random.default_rng(0).random((4, 64))
    for _ in range(2):
        model.present(image=x)
        model.reset()
        model.phase("run", "train")
        sign = np.where(np.arange(64) < 50, 1, -1)[:, None]
        w, r = sign * model.state["W.mag"], model.state["R.w"]
        first = np.tanh(x @ w)
        assert np.allclose(model.state["b.r"], np.tanh(x @ w + first @ r), atol=1e-12)
        model.rewire()


def test_a_run_goes_on_bit_by_bit(tmp_path: Path) -> None:
    whole = made(text(), dtype="float32").run(out=tmp_path / "whole")
    begun = made(text(), dtype="float32").run(epochs=1, out=tmp_path / "begun")
    assert begun.directory is not None and whole.directory is not None
    made(text(), dtype="float32").run(resume=begun.directory, epochs=2)
    ends = [path / "weights.npz" for path in (whole.directory, begun.directory)]
    assert ends[0].read_bytes() == ends[1].read_bytes()
    assert whole.metrics["test"]["alive"] <= 370 and whole.metrics["test"]["room"] == 740


def test_a_budget_below_what_is_alive() -> None:
    with pytest.raises(DiagnosticError, match="E0663") as fault:
        made(text(budget="50")).state["W.mag"]
    assert "budget of 50 synapses" in str(fault.value)


def test_the_certificate_says_so() -> None:
    (notes,) = [r.notes for r in made(text()).certificate.rules if r.projection == "W"]
    assert any("`rewire closed`" in note and "aggregated-weights" in note for note in notes)
    assert {r.verdict for r in made(text()).certificate.rules} == {"local"}


@pytest.mark.parametrize(
    ("wires", "least"),
    [("dense", 640), ("sparse(p = 0.25, draw = exact)", 160), ("sparse(p = 0.25)", 0)],
)
def test_a_budget_that_is_known_to_be_too_small(wires: str, least: int) -> None:
    """Where the number of synapses at the start is known the check finds it."""
    held = text(wires, prune="mag <= 0", budget=str(max(0, least - 1)))
    held = held.replace("over W, R", "over W")
    found = [d for d in check(held).diagnostics if d.code == "E0663"]
    assert bool(found) == (least > 0)
    if found:
        assert f"{least} or more" in found[0].message
    maybe = {"uniform(0, 0.2)": "uniform(-1, 0.2)", "mag <= 0": "mag < 0.1"}
    for old, new in {
        **maybe,
        str(least - 1): "740",
    }.items():  # some begin dead, or are closed, or all may stay
        unsure = check(held.replace(old, new)).diagnostics
        assert not [d for d in unsure if d.code == "E0663"]
