"""A population read statement by statement in NumPy, and differences of what it computes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.frontend import check
from netdsl.ir.expr import PREV, Apply, Const, Custom, Expr, Index, Reduce, Ref
from netdsl.ir.functions import FUNCTIONS
from netdsl.ir.network import Assign, Network, Population, Spike
from netdsl.passes.network.integrate import integrated

Array = NDArray[np.float64]
TEXT = """\
edition 1
dt = 1 ms
function soft(margin) = 2 * max(0, margin)
neuron source {{ state s = 0 }}
neuron cell {{
  {cell}
}}
population a : source[2]
population c : cell[{axes}]
modulator g on c {{
  scope neuron
  {modulator}
}}
rule learned {{ dw = g }}
projection W : a -> c dense delay 0 {{
  weight w ~ normal(0, 1); deliver j += w * pre.s; learn learned()
}}
data digits {{ source = "digits"; batch = 20; split train = train }}
protocol train {{ each batch of digits.train {{ reset; phase see 3 steps learning }} }}
"""


def text(cell: str, modulator: str, axes: str) -> str:
    return TEXT.format(cell=cell.strip(), modulator=modulator.strip(), axes=axes)


def network(cell: str, modulator: str, axes: str = "row: 2, col: 3") -> Network:
    checked = check(text(cell, modulator, axes), lower=False)
    errors = [d for d in checked.diagnostics if d.severity == "error"]
    assert not errors and checked.network is not None, errors
    return integrated(checked.network)


@dataclass
class Layer:
    """The values of a population for one sample; `graded`: spikes are squares of their margins."""

    population: Population
    now: dict[str, Any]
    before: dict[str, Any] = field(default_factory=dict)

    def step(self) -> None:
        self.before = dict(self.now)
        for statement in self.population.body:
            if isinstance(statement, Spike):
                margin = self.value(statement.margin)
                self.now[statement.target] = np.where(margin > 0, margin**2, 0.0)
            else:
                assert isinstance(statement, Assign)
                self.now[statement.target] = self.value(statement.value)

    def value(self, expr: Expr) -> Any:
        if isinstance(expr, Const):
            return float(expr.value)
        if isinstance(expr, Custom):
            return self.value(expr.value)
        if isinstance(expr, Apply):
            return self._applied(expr)
        if isinstance(expr, Reduce):
            return self._reduced(expr)
        if isinstance(expr, Index):
            return np.arange(self.population.size, dtype=float)
        assert isinstance(expr, Ref)
        variable = self.population.variables.get(expr.path)
        if variable is not None and variable.definition is not None:
            return self.value(variable.definition)
        return (self.before if expr.time == PREV else self.now)[expr.path]

    def _applied(self, expr: Apply) -> Any:
        args = [self.value(arg) for arg in expr.args]
        if expr.function == "select" and not set(np.unique(args[0])) <= {0.0, 1.0}:
            return args[0] * args[1] + (1 - args[0]) * args[2]  # what a graded spike decides
        return np.vectorize(FUNCTIONS[expr.function].fold, otypes=[float])(*args)

    def _reduced(self, node: Reduce) -> Any:
        value = np.broadcast_to(self.value(node.body), (self.population.size,))
        kind = getattr(np, node.kind)
        if node.axis == "population":
            return kind(value)
        names = [name for name, _ in self.population.axes]
        shaped = value.reshape([length for _, length in self.population.axes])
        kept = kind(shaped, axis=names.index(node.axis), keepdims=True)
        return np.broadcast_to(kept, shaped.shape).reshape(-1)


def start(population: Population, rng: np.random.Generator) -> dict[str, Any]:
    """Random values of all that a step may read."""
    size = population.size
    return {
        path: rng.normal(size=size) if variable.place.name == "UNIT" else float(rng.normal())
        for path, variable in population.variables.items()
        if variable.definition is None
    }


def differences(population: Population, begun: Mapping[str, Any], by: str, of: Expr) -> Array:
    """Sums over neurons of `c.v` times central differences of `of` by each neuron's `by`."""
    layer = Layer(population, dict(begun))
    layer.step()
    weights = layer.now["g.c.v"] * np.ones(population.size)
    found = np.zeros(population.size)
    for unit in range(population.size):
        ends = []
        for way in (1e-5, -1e-5):
            moved = dict(begun)
            moved[by] = np.array(begun[by], dtype=float)
            moved[by][unit] += way
            layer = Layer(population, moved)
            layer.step()
            ends.append(layer.value(of) * np.ones(population.size))
        found[unit] = (weights * (ends[0] - ends[1])).sum() / 2e-5
    return found
