"""Declared start values hold from the beginning: a model that has run no reset is as after one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import netdsl
from netdsl.backends.cupy import shim
from netdsl.ir.network import Place
from netdsl.ir.places import of_rows

SPEC = """edition 1
dt = 1 ms
control gain = 1
neuron cell {
  param rest per neuron ~ uniform(0.5, 1)
  input j
  state v = -65 mV; state r = rest; state up : bool = true; state seen = 3 keep
  state old ~ uniform(1, 2) keep; state level ~ normal(0, 1); population state mood = 0.25
  v := v + 0 mV * j; up := up; seen := seen + 1; mood := mood + 1
  level := level + 0.5 * j; r := r + level; old := old
  def e = 2 * r - r@prev
}
neuron screen { input a; state got = 7; got := a }
population p : cell[6]
population q : screen[6]
projection W : p -> q dense delay 3 steps { weight w = 1; deliver a += w * pre.e }
data digits { source = "digits"; batch = 3; eval_batch = 5 }
protocol train { each batch of digits.train { phase run 2 steps { gain = 2 } } }
protocol test(split) { each batch of split { phase run 2 steps } }
readout got = sum(q.got) + sum(p.level)
metric m = mean(got)
"""


@pytest.fixture(params=["numpy", "native", "cupy"])
def compiled(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., netdsl.Model]:
    if request.param == "cupy":
        if shim.compiler() is None:
            pytest.skip("no g++ for CUDA on the CPU")
        monkeypatch.setattr("netdsl.runtime.backend.executor_class", lambda _: shim.ShimExecutor)
    return lambda **options: netdsl.compile(SPEC, request.param, dtype="float64", **options)


def per_sample(model: netdsl.Model) -> dict[str, np.ndarray]:
    return {
        name: model.session.executor.read(name)
        for name, buffer in model.program.buffers.items()
        if buffer.place in (Place.ROW, Place.UNIT) and buffer.role not in ("scratch", "hoisted")
    }


def assert_started(model: netdsl.Model) -> None:
    state, rest = model.state, model.state["p.rest"]
    assert (state["p.v"] == -0.065).all()
    np.testing.assert_array_equal(state["p.r"], np.broadcast_to(rest, state["p.r"].shape))
    assert (state["p.up"] == 1).all() and (state["p.seen"] == 3).all()
    assert (state["p.mood"] == 0.25).all() and (state["q.got"] == 7).all()
    assert ((state["p.old"] > 1) & (state["p.old"] < 2)).all()


def test_before_and_after_samples_are_there(compiled: Callable[..., netdsl.Model]) -> None:
    model = compiled()
    assert_started(model)
    model.present(label=np.zeros(4))
    assert_started(model)
    begun = per_sample(model)
    assert len(np.unique(begun["p.level"])) == 24, "rows draw by their own keys"
    model.reset()
    for name, value in per_sample(model).items():
        np.testing.assert_array_equal(value, begun[name], err_msg=name)


def test_rows_of_a_later_larger_batch(compiled: Callable[..., netdsl.Model]) -> None:
    model = compiled(rows=5)
    model.present(label=np.zeros(2))
    model.phase("run", "test")
    before = per_sample(model)
    model.present(label=np.zeros(5))
    first, rest = slice(2), slice(2, None)
    for name, value in per_sample(model).items():
        rows = of_rows(model.program.buffers[name], first)
        np.testing.assert_array_equal(value[rows], before[name], err_msg=name)
    assert (model.state["p.seen"] == [[5]] * 2 + [[3]] * 3).all()
    fresh = compiled(rows=5)
    fresh.present(label=np.zeros(5))
    for name, value in per_sample(model).items():
        rows = of_rows(model.program.buffers[name], rest)
        np.testing.assert_array_equal(value[rows], per_sample(fresh)[name][rows], err_msg=name)


def test_what_is_written_before_samples_stays(compiled: Callable[..., netdsl.Model]) -> None:
    model = compiled(rows=3)
    model.state["p.v"] = 1.0
    model.present(label=np.zeros(3))
    assert (model.state["p.v"] == 1).all() and (model.state["q.got"] == 7).all()


def test_an_evaluation_starts_from_a_reset(compiled: Callable[..., netdsl.Model]) -> None:
    """Also in protocols without `reset`, and in rows that training never used."""
    fresh = compiled().evaluate(limit=5).metrics["m"]
    model = compiled()
    model.run(limit=3, epochs=1, test=False)
    level = model.state["p.level"]
    assert model.evaluate(limit=5).metrics["m"] == pytest.approx(fresh, rel=1e-12)
    np.testing.assert_array_equal(model.state["p.level"], level)


def test_controls_have_their_old_values_after_a_phase(
    compiled: Callable[..., netdsl.Model],
) -> None:
    model = compiled()
    model.present(label=np.zeros(2))
    model.phase("run", "train")
    assert model.state["gain"] == 1
    model.step(1, "run", "train")
    assert model.state["gain"] == 1
