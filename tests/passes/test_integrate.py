"""Integrators against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import expm

from netdsl.ir.algebra.integrate import IntegrationError, integrate
from netdsl.ir.expr import Apply, Const, Expr, Ref
from netdsl.ir.network import Integrate
from tests.passes.values import run

V, W, J = Ref("v"), Ref("w"), Ref("j")


def op(name: str, *args: Expr | float) -> Apply:
    return Apply(name, tuple(a if isinstance(a, Expr) else Const(float(a)) for a in args))


def leaky(tau: float, method: str, dt: float) -> Integrate:
    return Integrate((("v", op("div", op("add", op("neg", V), J), tau)),), method, dt)


numbers = st.floats(-5, 5)


@given(numbers, numbers, st.floats(0.01, 1.0), st.floats(1e-4, 0.05))
def test_exact_is_the_closed_form_of_a_leak(v: float, j: float, tau: float, dt: float) -> None:
    done = integrate(leaky(tau, "exact", dt))
    expected = j + (v - j) * math.exp(-dt / tau)
    assert run(done.statements, {"v": v, "j": j})["v"] == pytest.approx(expected, abs=1e-12)


@given(numbers, numbers, st.floats(0.01, 1.0), st.floats(1e-4, 0.05))
def test_euler_is_one_explicit_step(v: float, j: float, tau: float, dt: float) -> None:
    done = integrate(leaky(tau, "euler", dt))
    expected = v + dt * (j - v) / tau
    assert run(done.statements, {"v": v, "j": j})["v"] == pytest.approx(expected, abs=1e-12)


@given(st.floats(-3, 3), st.floats(-3, 3), st.floats(-3, 3), st.floats(-3, 3), numbers, numbers)
def test_exact_solves_coupled_linear_systems(
    a: float, b: float, c: float, d: float, v: float, w: float
) -> None:
    equations = (
        ("v", op("add", op("add", op("mul", a, V), op("mul", b, W)), J)),
        ("w", op("add", op("mul", c, V), op("mul", d, W))),
    )
    done = integrate(Integrate(equations, "exact", 0.1))
    after = run(done.statements, {"v": v, "w": w, "j": 0.7})
    block = np.zeros((3, 3))
    block[:2, :2], block[0, 2] = [[a, b], [c, d]], 0.7
    expected = (expm(block * 0.1) @ [v, w, 1.0])[:2]
    assert [after["v"], after["w"]] == pytest.approx(expected, abs=1e-10)


def test_rk4_has_fourth_order() -> None:
    def error(steps: int) -> float:
        done = integrate(Integrate((("v", op("mul", V, op("sub", 1.0, V))),), "rk4", 2.0 / steps))
        held = {"v": 0.1}
        for _ in range(steps):
            held = run(done.statements, held)
        return abs(held["v"] - 0.1 * math.exp(2.0) / (1 + 0.1 * (math.exp(2.0) - 1)))

    assert error(10) / error(20) == pytest.approx(16, rel=0.2)


def test_systems_advance_together() -> None:
    done = integrate(Integrate((("v", W), ("w", op("neg", V))), "euler", 0.5))
    after = run(done.statements, {"v": 1.0, "w": 2.0})
    assert (after["v"], after["w"]) == (2.0, 1.5)


GATED = op("mul", W, op("sub", 1.0, V))


@pytest.mark.parametrize(
    ("equations", "method"),
    [
        ((("v", op("sub", J, V)),), "exact"),
        ((("v", op("mul", J, op("sub", 1.0, V))),), "exact"),  # inputs are held over the step
        ((("v", GATED), ("w", op("neg", W))), "expeuler"),
        ((("v", op("mul", V, V)),), "rk4"),
    ],
)
def test_auto_picks_the_best_fit(equations: tuple[tuple[str, Expr], ...], method: str) -> None:
    done = integrate(Integrate(equations, "auto", 0.1))
    assert done.method == method
    assert done.why


def test_a_coefficient_that_vanishes_gives_the_limit() -> None:
    done = integrate(Integrate((("v", op("add", op("mul", J, V), 2.0)),), "exact", 0.1))
    assert run(done.statements, {"v": 1.0, "j": 0.0})["v"] == pytest.approx(1.2)


def test_exact_refuses_a_non_linear_equation() -> None:
    with pytest.raises(IntegrationError) as caught:
        integrate(Integrate((("v", op("mul", V, V)),), "exact", 0.1))
    assert "linear" in caught.value.message


def test_conditionally_linear_by_exponential_euler() -> None:
    done = integrate(Integrate((("v", op("mul", J, op("sub", 1.0, V))),), "expeuler", 0.1))
    after = run(done.statements, {"v": 0.2, "j": 3.0})
    assert after["v"] == pytest.approx(1 - 0.8 * math.exp(-0.3), abs=1e-14)


@pytest.mark.parametrize("method", ["expeuler", "exact", "auto"])
@given(st.floats(-14, 1.5), st.sampled_from([1, -1]), numbers, numbers)
def test_slow_rates_keep_their_slope(
    method: str, power: float, sign: int, v: float, j: float
) -> None:
    """v' = j - w v at rates of all magnitudes, w an own variable (whole precision is kept)."""
    rate, dt = sign * 10.0**power, 0.1
    done = integrate(Integrate((("v", op("sub", J, op("mul", W, V))),), method, dt))
    after = run(done.statements, {"v": v, "w": rate, "j": j})["v"]
    expected = v * math.exp(-rate * dt) - j * math.expm1(-rate * dt) / rate
    scale = abs(v) * math.exp(-rate * dt) + abs(j * math.expm1(-rate * dt) / rate)
    assert abs(after - expected) <= 4e-15 * scale + 1e-300
