"""`vjp` against differences: random bodies with reductions, states, spikes and integrators."""

from __future__ import annotations

import random

import numpy as np
import pytest

from netdsl.ir.expr import Ref
from tests.amounts import sweep
from tests.vjp.layer import Layer, differences, network, start

AXES = "row: 2, col: 3"
CELLS = {
    "layer norm": """
      input j
      def r = relu(j)
      def k = 1 / sqrt(mean(r^2) - mean(r)^2 + 1e-6)
      def z = (r - mean(r)) * k""",
    "over channels": """
      input j
      def r = j * sigmoid(j)
      def k = 1 / sqrt(mean(r^2 over col) - mean(r over col)^2 + 1e-6)
      def z = (r - mean(r over col)) * k""",
    "one step": """
      input j
      state u = 0
      u := u + dt / (5 ms) * (j - u)
      def r = relu(u)
      def z = r / (1 + sum(r))""",
    "the largest": "input j; state a = 0; def z = j - max(j) + min(j * a over row)",
    "softmax": "input j; def z = softmax(3 * j)",
    "overwritten": """
      input j
      state a = 0
      state b = 0
      a := tanh(j) * b
      b := a * sum(a * b)
      a := a^2 + j * b
      def z = a * b""",
    "one for all": """
      input j
      population state total = 0
      state a = 0
      total := 0.5 * total + mean(j^2)
      a := j * total^2
      total := total * sum(a)
      def z = total * a + total""",
    "a spike": """
      input j
      state v = 0
      v := 0.5 * v + j
      spike s when v > 0.1 * mean(v) { v := 0.2; surrogate soft() }
      def z = s * mean(v) + v""",
    "earlier values": "input j; state a = 0; a := a + j; def z = a * a@prev + sum(a@prev) * j",
    "exact": """
      input j; state v = 0; d v/dt = (j - v) / 5 ms; integrate v with exact
      def z = v * sum(v)""",
    "runge": """
      input j; state v = 0; state u = 0
      d v/dt = (j * u - v^3) / 5 ms; d u/dt = (sin(v) - u) / 9 ms
      integrate v, u with rk4
      def z = v * u + mean(v)""",
    "several": """
      input j; state v = 0; state u = 0
      v := v * j
      d v/dt = (j * u - v) / 5 ms; d u/dt = (v - u) / 9 ms
      integrate v, u with auto
      v := v - mean(u)
      def z = v * u""",
    "drawn": "input j; state a = 0; a := j * a; def z = sum(a * detach(a)) * 0 + j * a",
}


def agree(cell: str, modulator: str, seed: int = 1) -> None:
    found = network(cell, modulator, AXES).populations["c"]
    rng = np.random.default_rng(seed)
    for _ in range(3):
        begun = start(found, rng)
        layer = Layer(found, dict(begun))
        layer.step()
        expected = differences(found, begun, "c.j", Ref("c.z"))
        top = np.abs(expected).max()
        np.testing.assert_allclose(layer.now["g.c"] * np.ones(6), expected, atol=1e-6 * (top + 1))


@pytest.mark.parametrize("name", CELLS)
def test_by_hand(name: str) -> None:
    agree(CELLS[name], "let v = sin(3 * index) + z\n  emit vjp(z, j, v)")


SMOOTH = (
    "tanh({0})", "sin({0})", "{0} * {1}", "{0} + {1}", "{0} - {1}", "{0} / (1 + {1}^2)",
    "sigmoid({0})", "clip({0}, -0.9, 0.9)", "relu({0})", "max({0}, {1})",
    "{0} if {1} > 0 else {0}^2", "sum({0})", "mean({0})", "mean({0} over col)",
    "sum({0} * {1} over row)", "max({0} + 0.1 * index)", "min({0} - 0.1 * index over col)",
)  # fmt: skip


def written(rng: random.Random, names: list[str], depth: int) -> str:
    if depth == 0:
        return rng.choice(names)
    form = rng.choice(SMOOTH)
    return "(" + form.format(*(written(rng, names, depth - 1) for _ in range(2))) + ")"


def body(rng: random.Random) -> str:
    """Statements and definitions that read each other, and inputs and states of any time."""
    names = ["j", "a", "b", "j", "a@prev"]
    lines = ["input j; state a = 0; state b = 0; state c = 0"]
    for number in range(3):
        lines.append(f"def d{number} = {written(rng, [*names], 2)}")
        names.append(f"d{number}")
    for _ in range(3):
        lines.append(f"{rng.choice('abc')} := {written(rng, [*names, 'c'], 2)}")
    lines.append(f"def z = {written(rng, [*names, 'c'], 2)} + 0.1 * index")
    return "\n".join(lines)


@pytest.mark.parametrize("seed", sweep(range(30), lambda seed: seed < 12))
def test_random(seed: int) -> None:
    rng = random.Random(seed)
    agree(
        body(rng),
        f"let v = {written(rng, ['z', 'index', 'j'], 1)} + cos(index)\n  emit vjp(z, j, v)",
    )
