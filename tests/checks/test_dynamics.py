"""Integrators: what `exact` and `expeuler` can solve, and what diverges."""

from __future__ import annotations

import pytest

from netdsl.checks import run
from netdsl.diagnostics import Diagnostic
from tests.networks import Builder


def findings(*body: str) -> list[Diagnostic]:
    b = Builder()
    b.population("p", body=body, input="j", state="v u", let="k")
    return [d for d in run(b.network()) if d.code.startswith("E04")]


@pytest.mark.parametrize(
    ("method", "rate", "code", "column"),
    [
        ("exact", "(-v + j) / 0.1", None, 0),
        ("exact", "-v * v", "E0421", 1),
        ("exact", "j - v - exp(v)", "E0421", 9),
        ("exact", "j / v", "E0421", 1),
        ("expeuler", "(-v + j * u) / 0.1", None, 0),
        ("expeuler", "select(v > 0, 1, 0)", "E0422", 8),
        ("expeuler", "j - tanh(v)", "E0422", 5),
        ("rk4", "j - tanh(v)", None, 0),
        ("auto", "j - tanh(v)", None, 0),
        ("euler", "-v / 0.01", None, 0),
        ("euler", "-v / 0.0004", "E0423", 1),
        ("rk4", "-v / 0.0004", None, 0),
        ("rk4", "-v / 0.0003", "E0423", 1),
        ("euler", "3 * v", None, 0),
        ("euler", "-v / j", None, 0),
    ],
)
def test_admissibility(method: str, rate: str, code: str | None, column: int) -> None:
    found = findings(f"ode {method} v: {rate}")
    assert [d.code for d in found] == ([] if code is None else [code])
    if code is not None:
        assert found[0].primary.column == column
        assert found[0].severity == ("warning" if code == "E0423" else "error")


def test_a_let_is_looked_into() -> None:
    found = findings("k = v * v", "ode exact v: j - k")
    assert [d.code for d in found] == ["E0421"]
    assert found[0].primary.column == 5
    assert findings("k = 2 * v", "ode exact v: j - k") == []
