"""Exponential, lognormal and gamma draws: the same on every backend, and SciPy's quantiles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy import stats

import netdsl
from netdsl.backends.base import Executor
from netdsl.diagnostics import DiagnosticError
from netdsl.frontend import check
from netdsl.streams.draws import PhiloxStream, row_key
from tests.ir.test_functions import BACKENDS, missing

SPEC = """edition 1
neuron cell {
  input m
  a ~ exponential(m)
  b ~ lognormal(0.1 * m, 0.7)
  c ~ gamma(m, 0.5)
  d ~ gamma(0.03, 2)
  state total = 0
  total := total + a + b + c + d
}
population x : cell[37]
protocol simulate { clamp x.m = 0.02 + 0.005 * index^3; phase run 2 steps }
"""
Wanted = dict[str, Callable[[Any, Any, Any], Any]]
WANTED: Wanted = {
    "a": lambda unit, normal, m: stats.expon.ppf(unit) * m,
    "b": lambda unit, normal, m: np.exp(0.1 * m + 0.7 * normal),
    "c": lambda unit, normal, m: stats.gamma.ppf(unit, m) * 0.5,
    "d": lambda unit, normal, m: stats.gamma.ppf(unit, 0.03) * 2,
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_draws_alike(backend: str, dtype: str) -> None:
    if missing(backend):
        pytest.skip(f"no compiler for {backend}")
    program = netdsl.compile(SPEC, "numpy").program
    executor: Executor = BACKENDS[backend](program, {}, rows=3, dtype=dtype)
    keys = row_key(0, 0, np.arange(3))
    executor.set_rows(3, keys)
    (site,) = [name for name, r in program.routines.items() if r.kind == "phase"]
    for name, routine in program.routines.items():
        if routine.kind == "set":
            executor.call(name)
    executor.call(site, 2)
    mean = np.asarray(executor.read("x.m"), np.float64)
    for name, wanted in WANTED.items():
        stream = PhiloxStream(0, f"x.{name}")
        unit = stream.uniform(keys, 1, 37, dtype=np.float64)
        normal = stream.normal(keys, 1, 37, dtype=np.float64)
        near = 1e-6 if dtype == "float32" else 1e-11
        found = np.asarray(executor.read(f"x.{name}"), np.float64)
        np.testing.assert_allclose(found, wanted(unit, normal, mean), rtol=near, atol=1e-37)


START = """edition 1
neuron cell { param tau per neuron ~ lognormal(2, 0.3); input i; state v = 0; v := i / tau }
population x : cell[400]
projection W : x -> x dense delay 1 step { weight w ~ DRAW; deliver i += w * pre.v }
protocol simulate { phase run 1 steps }
"""


@pytest.mark.parametrize(
    ("draw", "mean", "std"),
    [("exponential(2)", 2, 2), ("lognormal(0, 0.5)", 1.1331, 0.6039), ("gamma(4, 0.5)", 2, 1)],
)
def test_starts(draw: str, mean: float, std: float) -> None:
    model = netdsl.compile(START.replace("DRAW", draw), "numpy", dtype="float64")
    found = np.array(model.state["W.w"])
    assert found.mean() == pytest.approx(mean, rel=0.02)
    assert found.std() == pytest.approx(std, rel=0.02)
    assert np.log(model.state["x.tau"]).std() == pytest.approx(0.3, rel=0.15)


def test_they_are_drawn_in_tasks_too() -> None:
    text = """edition 1
task waits(batch = 500, size = 500) { draw wait ~ exponential(3); field label = 0; let steps = 1 }
neuron cell { state v = 0 }
population x : cell[1]
protocol simulate { each batch of waits { reset; clamp x.v = sample.wait; phase run 1 steps } }
"""
    model = netdsl.compile(text, "numpy", dtype="float64")
    model.run("simulate", test=False)
    assert np.array(model.state["x.v"]).mean() == pytest.approx(3, rel=0.15)


@pytest.mark.parametrize(
    ("draw", "word"),
    [("exponential(-1)", "negative"), ("lognormal(0, -1)", "negative"), ("gamma(0, 1)", "shape")],
)
def test_what_is_out_of_range(draw: str, word: str) -> None:
    found = [d for d in check(START.replace("DRAW", draw)).diagnostics if d.code == "E0202"]
    assert len(found) == 1 and word in found[0].message


def test_a_name_is_still_free_elsewhere() -> None:
    text = START.replace("DRAW", "gamma(gamma, 1)").replace(
        "edition 1", "edition 1\nparam gamma = 2"
    )
    with pytest.raises(DiagnosticError, match="E0202"):
        netdsl.compile(text, set={"gamma": -1})
    netdsl.compile(text, "numpy")
