"""What rules expect to be equal is compared, on random inputs, before anything runs."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import replace

from netdsl.dataflow.walk import statement_parts, walk_host
from netdsl.ir.expr import NOW, PREV, Ref
from netdsl.ir.network import Expect, Kind, Network, Population, Projection, Rule
from netdsl.passes.errors import LoweringError
from netdsl.passes.network.unit import Reading

STEPS = 40
SCALES = (0.01, 0.3, 3.0, 30.0)  # of inputs: some of them make most cells spike


def expected(network: Network) -> Network:
    """Values that rules `expect` to be equal are compared on random inputs."""
    projections = dict(network.projections)
    for name, projection in network.projections.items():
        rule = projection.rule
        if rule is None or not rule.expects:
            continue
        for scale in SCALES:
            _Trial(network, projection, rule, scale).run()
        projections[name] = replace(projection, rule=replace(rule, expects=()))
    return replace(network, projections=projections)


class _Unit:
    """A neuron whose inputs, and states that only others set, are random at every step."""

    def __init__(self, network: Network, population: Population, trial: _Trial) -> None:
        self.population, self.trial = population, trial
        self.reading = Reading(population.variables, trial.other, trial.drawn)
        self.past: list[Reading] = []  # ends of steps, newest last
        assigned = {part[1] for s in population.body for part in statement_parts(s)}
        given = {flow.target for flow in walk_host(network) if flow.kind in ("clamp", "set")}
        self.free = {
            path: variable
            for path, variable in population.variables.items()
            if variable.kind is Kind.INPUT
            or (variable.kind is Kind.STATE and (path in given or path not in assigned))
        }
        self.body = tuple(
            s
            for s in population.body
            if not all(part[1] in self.free for part in statement_parts(s))
        )

    def step(self) -> None:
        """One step on new random numbers."""
        for path in self.free:
            self.reading.now[path] = self.trial.random.gauss(0.5, 1) * self.trial.scale
        self.reading.step(self.body)
        self.past.append(replace(self.reading, now=dict(self.reading.now)))

    def value(self, ref: Ref, ago: int = 0) -> float:
        """A read at the end of this step, or of an earlier one; 0 before there was one."""
        if ago >= len(self.past):
            return 0.0
        return self.past[-1 - ago].value(replace(ref, side="own", time=NOW))


class _Trial:
    """A synapse between two units, with random parameters and third factors."""

    def __init__(self, network: Network, projection: Projection, rule: Rule, scale: float) -> None:
        self.network, self.projection, self.rule, self.scale = network, projection, rule, scale
        self.random = random.Random(f"{projection.name} {rule.name} {scale}")
        self.fixed: dict[str, float] = {}
        self.factors: list[dict[str, float]] = [{}, {}]  # of the last step and of this one
        self.ends = {
            "pre": _Unit(network, network.populations[projection.pre], self),
            "post": _Unit(network, network.populations[projection.post], self),
        }
        self.synapse = Reading(rule.variables, self.other, self.drawn)

    def run(self) -> None:
        """All steps. Raises LoweringError at the first one where two values differ."""
        try:
            for end in self.ends.values():
                end.reading.reset()
            self.synapse.reset()
            for step in range(STEPS):
                self._step()
                for expect, left, right in self._pairs():
                    _agree(expect, left, right, step)
        except (ArithmeticError, ValueError):
            return  # a cell leaves the numbers on such inputs

    def _step(self) -> None:
        self.factors = [self.factors[1], {}]
        for end in self.ends.values():
            end.step()
        self.synapse.step(self.rule.statements)

    def _pairs(self) -> Iterator[tuple[Expect, float, float]]:
        for expect in self.rule.expects:
            yield expect, self.synapse.value(expect.left), self.synapse.value(expect.right)

    def other(self, ref: Ref) -> float:
        """What a unit or the rule does not hold itself: an end's value, or a random number.

        Parameters, weights and data are drawn once, third factors anew at every step.
        """
        end, earlier = self.ends.get(ref.side), ref.time == PREV
        if end is not None and ref.path in end.population.variables:
            delay = self.projection.delay if ref.side == "pre" else 0
            return end.value(ref, delay + earlier)
        variable = self.network.table.get(ref.path)
        if variable is not None and variable.kind in (Kind.PARAM, Kind.WEIGHT, Kind.SAMPLE):
            return self.fixed.setdefault(ref.path, 0.1 + self.random.random())
        return self.factors[0 if earlier else 1].setdefault(ref.path, self.random.gauss(0, 1))

    def drawn(self, distribution: str, args: tuple[float, ...]) -> float:
        """A draw; a mere random number where the distribution is another."""
        low, high = (*args, 1.0, 1.0)[:2]
        if distribution == "bernoulli":
            return float(self.random.random() < low)
        if distribution == "normal":
            return self.random.gauss(low, abs(high))
        return self.random.uniform(low, high)


def _agree(expect: Expect, left: float, right: float, step: int) -> None:
    if not math.isfinite(left + right) or abs(left - right) <= expect.within:
        return
    raise LoweringError(
        "E0435",
        f"the two differ at step {step} of a trial on random inputs: {left:.9g} and {right:.9g}",
        expect.span,
        "look for a missing path, such as that through the reset or an adaptation",
    )
