"""Integrators that diverge at the given time step."""

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
    ("method", "rate", "diverges"),
    [
        ("euler", "-v / 0.01", False),
        ("euler", "-v / 0.0004", True),
        ("euler", "j - k", True),
        ("rk4", "-v / 0.0004", False),
        ("rk4", "-v / 0.0003", True),
        ("exact", "-v / 0.0003", False),
        ("euler", "3 * v", False),
        ("euler", "-v / j", False),
        ("euler", "-exp(v)", False),
    ],
)
def test_stability(method: str, rate: str, diverges: bool) -> None:
    found = findings("k = 3000 * v", f"ode {method} v: {rate}")
    assert [(d.code, d.severity) for d in found] == ([("E0421", "warning")] if diverges else [])
