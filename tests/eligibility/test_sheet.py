"""The recursions that are written by hand for LIF and adaptive units equal the derived ones."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import sympy

from netdsl.ir.expr import Apply, Const, Custom, Expr, Ref
from netdsl.ir.network import Assign, Network, Statement
from netdsl.passes.network.unit import Reading
from tests.eligibility.units import derived, network

CELL = """
param beta per neuron ~ uniform(0, 2)
param alpha per neuron = 0.9
param rho per neuron = 0.99
input i
state b = 0
state v = 0
{adapt}
v := alpha * v + (1 - alpha) * i - 0.01 * s
spike s when (v - 0.01 - {shift}) / 0.01 > 0 {{
  refractory 5 steps
  surrogate triangle(damp = 0.3, width = 1)
}}
"""
ALIF = CELL.format(adapt="b := rho * b + (1 - rho) * s", shift="beta * b")
LIF = CELL.format(adapt="", shift="0")
THETA = sympy.Rational(1, 100)
FUNCTIONS = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "neg": lambda a: -a,
    "select": lambda c, a, b: sympy.Function("select")(c, a, b),
    "le": lambda a, b: sympy.Function("le")(a, b),
    "abs": sympy.Abs,
    "max": sympy.Max,
}


class Symbols:
    """Runs statements on symbols; the surrogate is called psi at whatever step it is computed."""

    def __init__(self, held: Network) -> None:
        self.values: dict[str, sympy.Expr] = {}
        self.before: dict[str, sympy.Expr] = {}
        self.body = held.populations["c"].body
        rule = held.projections["W"].rule
        assert rule is not None
        self.rule = rule

    def of(self, expr: Expr) -> sympy.Expr:
        if isinstance(expr, Const):
            return sympy.nsimplify(expr.value, rational=True)
        if isinstance(expr, Custom):
            return self.of(expr.value)
        if isinstance(expr, Apply):
            return FUNCTIONS[expr.function](*(self.of(arg) for arg in expr.args))
        assert isinstance(expr, Ref)
        known = self.before if expr.time == "prev" else self.values
        return known.get(expr.path, sympy.Symbol(expr.path.rsplit(".", 1)[-1]))

    def run(self, statements: tuple[Statement, ...], psi: str = "") -> None:
        self.before = dict(self.values)
        for statement in statements:
            if isinstance(statement, Assign) and (not psi or ".slope." in statement.target):
                surrogate = getattr(statement.value, "function", "") == "select"
                value = sympy.Symbol(psi) if psi and surrogate else self.of(statement.value)
                self.values[statement.target] = value


@pytest.mark.parametrize("cell", [ALIF, LIF], ids=["adaptive", "plain"])
def test_symbolically(cell: str) -> None:
    held = derived(network(cell, "s"))
    symbols = Symbols(held)
    ev, ea, g = sympy.symbols("ev ea s")
    alpha, beta, rho, psi, pp = sympy.symbols("alpha beta rho psi pp")
    if cell == LIF:
        ea = beta = sympy.Integer(0)
    symbols.run(symbols.body, "pp")
    symbols.run(symbols.body, "psi")
    symbols.values |= {"W.learned.e.v": ev, "W.learned.e.b": ea}
    symbols.run(symbols.rule.statements)
    new = (alpha - THETA * pp) * ev + THETA * beta * pp * ea + (1 - alpha) * g
    slow = (1 - rho) * pp * ev + (rho - (1 - rho) * beta * pp) * ea
    # the surrogate is by the margin, psi by v: the first is THETA times the second
    scaled = {sympy.Symbol("pp"): THETA * pp, sympy.Symbol("psi"): THETA * psi}
    found = {p: v.subs(scaled, simultaneous=True) for p, v in symbols.values.items()}
    assert sympy.expand(found["W.learned.e.v"] - new) == 0
    if cell == ALIF:
        assert sympy.expand(found["W.learned.e.b"] - slow) == 0
        assert sympy.expand(found["W.learned.e"] - psi * (new - beta * slow)) == 0
    else:
        assert "W.learned.e.b" not in symbols.rule.variables
        assert sympy.expand(found["W.learned.e"] - psi * new) == 0


@pytest.mark.parametrize("cell", [ALIF, LIF], ids=["adaptive", "plain"])
def test_numerically(cell: str) -> None:
    held = derived(network(cell, "s"))
    rule = held.projections["W"].rule
    assert rule is not None
    beta = 1.8 if cell == ALIF else 0.0
    alpha, rho, theta = 0.9, 0.99, 0.01
    unit = Reading(held.populations["c"].variables, lambda ref: math.nan, lambda *drawn: 1.8)
    g = 0.0

    def other(ref: Ref) -> float:
        return g if ref.side == "pre" else unit.value(replace(ref, side="own"))

    synapse = Reading(rule.variables, other, lambda *drawn: math.nan)
    unit.reset()
    synapse.reset()
    ev = ea = v = b = z = pp = 0.0
    quiet = spikes = 0
    for step in range(200):
        g, unit.now["c.i"] = float(step % 3 == 0), 0.1 * math.sin(step / 7) + 0.05
        unit.step(held.populations["c"].body)
        synapse.step(rule.statements)
        b = rho * b + (1 - rho) * z if cell == ALIF else 0.0
        v = alpha * v + (1 - alpha) * unit.now["c.i"] - theta * z
        u = (v - theta - beta * b) / theta
        z = float(u > 0 and quiet <= 0)
        psi = 0.3 / theta * max(0.0, 1 - abs(u)) if quiet <= 0 else 0.0
        ev, ea = (
            (alpha - theta * pp) * ev + theta * beta * pp * ea + (1 - alpha) * g,
            (1 - rho) * pp * ev + (rho - (1 - rho) * beta * pp) * ea,
        )
        pp, quiet, spikes = psi, 5 if z else max(quiet - 1, 0), spikes + int(z)
        assert unit.now["c.s"] == z
        wanted = psi * (ev - beta * ea)
        assert synapse.now["W.learned.e"] == pytest.approx(wanted, rel=1e-12, abs=1e-12)
    assert spikes > 5
