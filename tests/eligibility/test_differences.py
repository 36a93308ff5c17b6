"""Derived eligibilities against central differences of the unit's own simulation."""

from __future__ import annotations

import random

import pytest

from tests.eligibility.units import compared, network

LIF = """
input i; state v = 0
d v/dt = (i - v) / 20 ms
integrate v with exact
"""
SPIKE = "spike s when v > 0.05 {{ {reset} surrogate soft() }}"
CELLS = {
    "leaky": (LIF, "v"),
    "spiking": (LIF + SPIKE.format(reset=""), "s"),
    "reset by assignment": (LIF + SPIKE.format(reset="v := 0;"), "s"),
    "reset by subtraction": (LIF + SPIKE.format(reset="v := v - 0.3 * s;"), "v"),
    "reset and refractory": (LIF + SPIKE.format(reset="v := 0.1 * v; refractory 3 steps;"), "s"),
    "held": (LIF + SPIKE.format(reset="v := 0.5 * v; refractory 2 steps hold v;"), "v"),
    "trace": (LIF + SPIKE.format(reset="v := 0;") + "\ntrace z of s { tau = 5 ms }", "z"),
    "linear trace": (LIF + "\ntrace z of v { tau = 9 ms; decay = linear; amount = 2 }", "z"),
    "set trace": (
        LIF + SPIKE.format(reset="") + "\ntrace z of s { tau = 5 ms; jump = set }\n"
        "state q = 0; q := 0.5 * q + z * v",
        "q",
    ),
    "adaptive": (
        """
param beta per neuron ~ uniform(0.5, 1.5)
let alpha = exp(-dt / 20 ms)
input i; state b = 0; state v = 0
b := 0.9 * b + 0.1 * s
v := alpha * v + (1 - alpha) * i - 0.3 * s
spike s when v - beta * b > 0.02 { refractory 2 steps; surrogate soft() }
""",
        "s",
    ),
    "quadratic": (
        """
input i; state v = -0.6; state u = -0.1
v := v + 0.1 * (v^2 + v + 0.2 - u + i)
u := u + 0.02 * (0.2 * v - u)
spike s when v > 0.2 { v := -0.65; u := u + 0.08; surrogate soft() }
""",
        "u",
    ),
    "quadratic spike": (
        """
input i; state v = -0.6; state u = -0.1
v := v + 0.2 * (v^2 + v + 0.4 - u + i)
u := u + 0.02 * (0.2 * v@prev - u)
spike s when v > 0 { v := v - 0.65; u := u + 0.08 * s; surrogate soft() }
""",
        "s",
    ),
    "gates": (
        """
input i; state v = 0; state m = 0.1; state h = 0.8
d m/dt = (sigmoid(3 * v) - m) / (2 ms * (1 + exp(-v^2)))
d h/dt = (1 - sigmoid(2 * v) - h) / 5 ms
d v/dt = (i - 4 * m^3 * h * (v - 1) - 0.5 * v) / 3 ms
integrate m, h, v with expeuler
def open = m^3 * h
""",
        "open",
    ),
    "runge-kutta": (
        """
input i; state v = 0; state w = 0
d v/dt = (v - v^3 / 3 - w + i) / 4 ms
d w/dt = (v + 0.7 - 0.8 * w) / 12 ms
integrate v, w with rk4
""",
        "w",
    ),
    "coupled exact": (
        """
input i; state v = 0; state g = 0
d g/dt = (i - g) / 5 ms
d v/dt = (g - v) / 20 ms
integrate g, v with exact
""",
        "v",
    ),
    "earlier": (
        """
input i; state v = 0; state x = 0
def r = tanh(v) * x
v := 0.8 * v + i + 0.1 * r@prev
x := sin(v@prev) + 0.3 * x
""",
        "r",
    ),
    "followers": (
        """
input i; state v = 0; state y = 0; state z = 0
let k = y * z
v := 0.9 * v + i + 0.2 * k
y := tanh(v)
z := y + 0.5 * v
""",
        "v",
    ),
}


@pytest.mark.parametrize("name", CELLS)
def test_equal_to_central_differences(name: str) -> None:
    cell, target = CELLS[name]
    pairs = list(compared(network(cell, target), f"c.{target}"))
    assert any(abs(difference) > 1e-3 for _, difference in pairs)
    for found, difference in pairs:
        assert found == pytest.approx(difference, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize(("one", "other"), [("s", "v"), ("v", "s"), ("s", "q"), ("q", "s")])
def test_two_of_one_cell(one: str, other: str) -> None:
    """They share what they can, and disturb each other in nothing."""
    cell = CELLS["adaptive"][0] + "\nstate q = 0; q := 0.9 * q + tanh(s) + 0.2 * b"
    for name, target in (("e", one), ("f", other)):
        held = network(cell, one, also=other)
        for found, difference in compared(held, f"c.{target}", name=name):
            assert found == pytest.approx(difference, rel=1e-6, abs=1e-6)


def test_two_inputs() -> None:
    cell = "input i; input k; state v = 0; v := tanh(0.7 * v + i) * (1 + 0.1 * k)"
    held = network(cell, "v", "deliver i += w * pre.s; deliver k += 2 * w * pre.s")
    for found, difference in compared(held, "c.v", inputs=("c.i", "c.k"), gains=(1.0, 2.0)):
        assert found == pytest.approx(difference, rel=1e-6, abs=1e-6)


def _expression(draw: random.Random, depth: int) -> str:
    leaves = ("p", "q", "r", "i", "p@prev", "q@prev", "d", "0.5", "g")
    if depth == 0:
        return draw.choice(leaves)
    parts = [_expression(draw, depth - 1) for _ in range(2)]
    return draw.choice((
        "tanh({0} + {1})", "({0} - {1}) / 2", "({0} * {1}) / 3", "sin({0}) + 0.1 * {1}",
        "({0} if {1} > 0.2 else 0.5 * {0})",
        "sigmoid({0}) * {1} / 2",
    )).format(*parts)  # fmt: skip


def _cell(draw: random.Random) -> tuple[str, str]:
    """A random cell and a variable of it."""
    lines = ["param g per neuron ~ uniform(0, 1)", "input i"]
    lines += [f"state {name} = 0.1" for name in "pqr"]
    lines += ["def d = 0.5 * p * q + r", "p := 0.5 * p + 0.2 * i"]
    spikes, spiking = draw.random() < 0.6, "p + 0.5 * i > 0.3"
    for line in range(draw.randint(3, 6)):
        value = _expression(draw, draw.choice((1, 2)))
        if draw.random() < 0.2:
            lines.append(f"let l{line} = {value}")
            value = f"0.5 * l{line} + 0.3 * {_expression(draw, 1)}"
        lines.append(f"{draw.choice('pqr')} := 0.9 * ({value})")
        if spikes and line == 1:
            hold = draw.choice(("", "hold r", "hold p"))
            reset = f"q := 0.5 * q; refractory 2 steps {hold}; surrogate soft()"
            lines.append(f"spike s when {spiking} {{ {reset} }}")
            lines.append("r := r - 0.3 * s + 0.1 * s@prev + 0.1 * z; trace z of s { tau = 5 ms }")
    if draw.random() < 0.4:
        lines.append("state v = 0; d v/dt = (p - v) / 5 ms; integrate v with auto")
        lines.append("q := q + 0.2 * v")
    lines.append("p := p + 0.2 * i; q := q + 0.1 * tanh(p); r := r + 0.1 * sin(p)")
    return "\n".join(lines), draw.choice("pqrds" if spikes else "pqrd")


@pytest.mark.parametrize(
    "seed", [*range(5), *(pytest.param(n, marks=pytest.mark.slow) for n in range(5, 60))]
)
def test_random_cells(seed: int) -> None:
    cell, target = _cell(random.Random(seed))
    for found, difference in compared(network(cell, target), f"c.{target}", steps=12, seed=seed):
        assert found == pytest.approx(difference, rel=3e-6, abs=3e-6)


def test_what_is_detached_is_constant() -> None:
    plain = "input i; state v = 0; state q = 0; v := 0.8 * v + i; q := {} * v"
    found = [e for e, _ in compared(network(plain.format("detach(v)"), "q"), "c.q")]
    whole = [e for e, _ in compared(network(plain.format("v"), "q"), "c.q")]
    assert found == pytest.approx([e / 2 for e in whole], rel=1e-12)
