"""Draws whose arguments are out of range: refused at the check, at the build, or defined."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import netdsl
from netdsl.diagnostics import DiagnosticError
from netdsl.ir.distributions import DISTRIBUTIONS

SPEC = """edition 1
dt = 1 ms
param c = {constant}
neuron cell {{ param q per neuron ~ {spread}; input j; state v {init}; {body} }}
population p : cell[4]
population r : cell[4]
projection W : p -> r dense delay 0 {{ weight w ~ {weight}; deliver j += w * pre.v }}
protocol train {{ phase run 1 step }}
readout o = mean(r.v over run)
"""
BAD = {
    "normal": ("normal(0, c)", -1.0),
    "uniform": ("uniform(0, c)", -1.0),
    "integer": ("integer(0, c)", -1.0),
    "bernoulli": ("bernoulli(c)", 1.5),
    "poisson": ("poisson(c)", -1.0),
    "exponential": ("exponential(c)", -1.0),
    "lognormal": ("lognormal(0, c)", -1.0),
    "gamma": ("gamma(c, 1)", -1.0),
}
PLAIN = {"constant": "1", "spread": "uniform(0.5, 0.6)", "init": "= 0", "weight": "uniform(0, 1)",
         "body": "v := q + j"}  # fmt: skip


def code_of(tmp_path: Path, settings: dict[str, float] | None = None, **parts: str) -> str:
    """The code that a spec is refused with, up to its first step; "" when it runs."""
    file = tmp_path / "x.net"
    file.write_text(SPEC.format(**(PLAIN | parts)))
    try:
        model = netdsl.compile(file, backend="numpy", set=settings)
        model.present()
        model.reset()
        model.phase("run")
    except DiagnosticError as error:
        return next(d.code for d in error.diagnostics if d.severity == "error")
    return ""


@pytest.mark.parametrize("place", ["step", "start", "weight", "parameter"])
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_constants(tmp_path: Path, name: str, place: str) -> None:
    draw, value = BAD[name]
    where = {"step": "body", "start": "init", "weight": "weight", "parameter": "spread"}[place]
    text = {"step": f"v ~ {draw}", "start": f"~ {draw}"}.get(place, draw)
    assert code_of(tmp_path, **{where: text}) == ""
    assert code_of(tmp_path, constant=str(value), **{where: text}) == "E0202"
    assert code_of(tmp_path, {"c": value}, **{where: text}) == "E0202"


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_parameters_of_each_neuron(tmp_path: Path, name: str) -> None:
    draw, value = BAD[name]
    body = "v ~ " + draw.replace("c", "q")
    for spread, code in ((f"uniform({value}, {value})", "E0777"), ("integer(1, 1)", "")):
        assert code_of(tmp_path, spread=spread, body=body) == code
        let = body.replace("q", "k")
        assert code_of(tmp_path, spread=spread, body=f"let k = q; {let}") == code


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_a_computed_probability_beyond_its_ends_is_taken_as_the_end(
    tmp_path: Path, backend: str
) -> None:
    file = tmp_path / "x.net"
    file.write_text(SPEC.format(**(PLAIN | {"init": "= 0", "body": "v ~ bernoulli(j + q)"})))
    model = netdsl.compile(file, backend=backend, seed=1)
    model.present()
    model.reset()
    for p, drawn in ((1.7, 1), (np.inf, 1), (-0.3, 0), (np.nan, 0)):
        model.state["p.q"] = np.full(4, p)
        model.step(phase="run")
        np.testing.assert_array_equal(np.ravel(model.state["p.v"]), drawn)
