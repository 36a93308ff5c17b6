"""What rules expect to be equal is compared, on random inputs, before anything runs."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from dataclasses import replace

from netdsl.ir.expr import PREV, Ref
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


class _Trial:
    """A unit with one synapse, whose inputs, sender and third factors are random."""

    def __init__(self, network: Network, projection: Projection, rule: Rule, scale: float) -> None:
        self.network, self.projection, self.rule, self.scale = network, projection, rule, scale
        self.random = random.Random(f"{projection.name} {rule.name} {scale}")
        self.post: Population = network.populations[projection.post]
        self.fixed: dict[str, float] = {}
        self.arrived: dict[str, float] = {}
        self.earlier: dict[str, float] = {}
        self.unit = Reading(self.post.variables, self._other, self._drawn)
        self.synapse = Reading(rule.variables, self._other, self._drawn)

    def run(self) -> None:
        """All steps. Raises LoweringError at the first one where two values differ."""
        self.unit.reset()
        self.synapse.reset()
        for step in range(STEPS):
            self.earlier, self.arrived = self.arrived, {}
            for path, variable in self.post.variables.items():
                if variable.kind is Kind.INPUT:
                    self.unit.now[path] = self.random.gauss(0.5, 1) * self.scale
            try:
                self.unit.step(self.post.body)
                self.synapse.step(self.rule.statements)
                pairs = list(self._pairs())
            except (ArithmeticError, ValueError):
                return  # the cell itself leaves the numbers
            for expect, left, right in pairs:
                if math.isfinite(left + right) and not abs(left - right) <= expect.within:
                    raise LoweringError(
                        "E0435",
                        f"the two differ at step {step} of a trial on random inputs: "
                        f"{left:.9g} and {right:.9g}",
                        expect.span,
                        "look for a missing path, such as that through the reset or an adaptation",
                    )

    def _pairs(self) -> Iterator[tuple[Expect, float, float]]:
        for expect in self.rule.expects:
            yield expect, self.synapse.value(expect.left), self.synapse.value(expect.right)

    def _other(self, ref: Ref) -> float:
        """Parameters, weights and data are drawn once, what arrives anew at every step."""
        if ref.side == "post" and ref.path in self.post.variables:
            return self.unit.value(replace(ref, side="own"))
        variable = self.network.table.get(ref.path)
        if variable is not None and variable.kind in (Kind.PARAM, Kind.WEIGHT, Kind.SAMPLE):
            return self._once(self.fixed, ref.path, 0.1 + self.random.random())
        spikes = variable is not None and variable.kind is Kind.SPIKE
        value = float(self.random.random() < 0.3) if spikes else self.random.gauss(0, 1)
        if ref.time == PREV:
            return self._once(self.earlier, ref.path, value)
        return self._once(self.arrived, ref.path, value)

    def _once(self, known: dict[str, float], path: str, value: float) -> float:
        return known.setdefault(path, value)

    def _drawn(self, distribution: str, args: tuple[float, ...]) -> float:
        low, high = (*args, 1.0, 1.0)[:2]
        if distribution == "bernoulli":
            return float(self.random.random() < low)
        if distribution == "normal":
            return self.random.gauss(low, abs(high))
        return self.random.uniform(low, high)
