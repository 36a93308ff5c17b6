"""A unit with one synapse, run with its derived eligibility and beside it with a weight moved."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

from netdsl.frontend import check
from netdsl.ir.expr import Apply, Const, Ref, apply
from netdsl.ir.network import Assign, Network, Population, Spike, Statement
from netdsl.passes.network.eligibility import eligible
from netdsl.passes.network.integrate import integrated
from netdsl.passes.network.unit import Reading

TEXT = """\
edition 1
dt = 1 ms
function soft(margin) = 2 * max(0, margin)
neuron source {{ state s = 0 }}
neuron cell {{
  {cell}
}}
population a : source[2]
population c : cell[2]
rule learned {{
  eligibility e of w to post.{target}
  dw = e
}}
projection W : a -> c dense delay 1 step {{
  weight w ~ normal(0, 1)
  {deliver}
  learn learned()
}}
data digits {{ source = "digits"; batch = 20; split train = train }}
protocol train {{ each batch of digits.train {{ reset; phase see 10 steps learning }} }}
"""


def text(cell: str, target: str, deliver: str = "deliver i += w * pre.s") -> str:
    return TEXT.format(cell=cell.strip().replace("\n", "\n  "), target=target, deliver=deliver)


def network(
    cell: str, target: str, deliver: str = "deliver i += w * pre.s", also: str = ""
) -> Network:
    spec = text(cell, target, deliver)
    if also:
        spec = spec.replace("dw = e", f"eligibility f of w to post.{also}; dw = e * f")
    checked = check(spec, lower=False)
    errors = [d for d in checked.diagnostics if d.severity == "error"]
    assert not errors and checked.network is not None, errors
    return checked.network


def derived(network: Network) -> Network:
    return eligible(integrated(network))


def smooth(body: tuple[Statement, ...]) -> tuple[Statement, ...]:
    """Spikes become the square of their margin, where that is positive: its slope is `soft`."""

    def graded(spike: Spike) -> Assign:
        square = apply("pow", apply("max", spike.margin, Const(0.0)), Const(2.0))
        gate = apply("select", spike.condition, Const(1.0), Const(0.0))
        return Assign(spike.target, apply("mul", gate, square))

    return tuple(graded(s) if isinstance(s, Spike) else s for s in body)


class Graded(Reading):
    """What a graded spike decides is the mean of the two, as derivatives have it."""

    def _applied(self, expr: Apply) -> float:
        if expr.function != "select":
            return super()._applied(expr)
        share = self.value(expr.args[0])
        if share in (0.0, 1.0):
            return super()._applied(expr)
        return share * self.value(expr.args[1]) + (1 - share) * self.value(expr.args[2])


@dataclass
class Run:
    """One unit driven by its synapse and by noise, which are the same for the same seed."""

    population: Population
    seed: int = 0
    size: float = 1.0

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)
        self.params = random.Random(self.seed)
        self.unit = Graded(self.population.variables, self._other, self._drawn)
        self.unit.reset()
        self.body = smooth(self.population.body)

    def _other(self, ref: Ref) -> float:
        raise AssertionError(f"{ref} belongs to no unit")

    def _drawn(self, distribution: str, args: tuple[float, ...]) -> float:
        return self.params.uniform(*args)

    def step(self, weight: float, inputs: tuple[str, ...], gains: tuple[float, ...]) -> float:
        """One step; what the sender was."""
        sent = float(self.random.random() < 0.5) * self.random.uniform(0.5, 1.5)
        for path, gain in zip(inputs, gains, strict=True):
            noise = self.random.gauss(0, 1) * self.size
            self.unit.now[path] = gain * weight * sent + noise
        self.unit.step(self.body)
        return sent


def compared(
    held: Network,
    target: str,
    *,
    steps: int = 25,
    seed: int = 0,
    size: float = 1.0,
    inputs: tuple[str, ...] = ("c.i",),
    gains: tuple[float, ...] = (1.0,),
    name: str = "e",
) -> Iterator[tuple[float, float]]:
    """At each step the derived eligibility and the central difference by the weight."""
    made = derived(held)
    rule = made.projections["W"].rule
    assert rule is not None
    plain = integrated(held).populations["c"]
    weight, h = 0.7, 1e-5
    runs = [Run(made.populations["c"], seed, size)]
    runs += [Run(plain, seed, size), Run(plain, seed, size)]
    sent = 0.0

    def other(ref: Ref) -> float:
        return sent if ref.side == "pre" else runs[0].unit.value(replace(ref, side="own"))

    synapse = Reading(rule.variables, other, lambda distribution, args: 0.0)
    synapse.reset()
    for _ in range(steps):
        sent = runs[0].step(weight, inputs, gains)
        runs[1].step(weight + h, inputs, gains)
        runs[2].step(weight - h, inputs, gains)
        synapse.step(rule.statements)
        up, down = (run.unit.value(Ref(target)) for run in runs[1:])
        yield synapse.now[f"W.learned.{name}"], (up - down) / (2 * h)
