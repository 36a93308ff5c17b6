"""Changes add up over samples: what one contributes does not depend on what the others are.

With one sample changed, or all others, or both, the change of a weight must be the sum of what
either changes alone. Optimisers, bounds and what is done after updates see sums over samples and
are left out: the terms themselves are tested. Rules that may read other samples are not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netdsl.ir.network import Place, Projection, Rule, Type
from netdsl.ir.program import Buffer
from netdsl.ir.space import ROW
from netdsl.tools.perturb import ROLES, Bench, Trial

if TYPE_CHECKING:
    from netdsl.runtime.model import Model

Array = NDArray[Any]
TOLERANCE = 1e-9  # of the largest change
ONE = 1  # the sample that is changed alone; flags of drawn samples are 1 for it
FREE = ("per-sample", "history", "batch-reduced", "batch-size-dependent")


def bare(model: Model) -> Model | None:
    """The model without what is done to sums over samples; None where no rule is free of others."""
    from netdsl.frontend import lower_network
    from netdsl.locality import certify

    network = model.network
    labels = {rule.projection: rule.sample for rule in certify(network).rules}
    projections = dict(network.projections)
    tested = False
    for name, projection in network.projections.items():
        rule = projection.rule
        if rule is not None and rule.loss is None:
            tested = tested or labels[name] in FREE
            rule = replace(rule, optimiser=None, bound=None, after=())
            projections[name] = replace(projection, rule=rule)
    if not tested or network.memories:
        return None
    network = replace(network, projections=projections)
    return model.variant(network, lower_network(network))


class Samples(Bench):
    """Runs a call four times for each rule: as it is, with one sample changed, the others, all."""

    def trial(
        self,
        call: Callable[[], None],
        before: dict[str, Array],
        projection: Projection,
        rule: Rule,
        where: str,
    ) -> None:
        """Test one rule at one place, if its label says that samples are apart."""
        weight = self.model.program.find(projection.weight or "")
        if weight is None or self.labels[projection.name] not in FREE:
            return
        changed = tuple(n for n, b in self.model.program.buffers.items() if self._of_samples(b))
        drawn = {name: self._drawn(name, before[name]) for name in changed}

        def update(first: bool, others: bool) -> Array:
            values = dict(before)
            for name in changed:
                values[name] = self._mixed(name, before[name], drawn[name], first, others)
            self.restore(values)
            call()
            found: Array = self.model.session.executor.read(weight) - before[weight]
            return found

        plain, one, rest, both = (
            update(*which) for which in ((False, False), (True, False), (False, True), (True, True))
        )
        largest = max(float(np.abs(found).max(initial=0)) for found in (plain, one, rest, both))
        off = np.abs(plain + both - one - rest)
        differing = (weight,) if (off > TOLERANCE * largest).any() else ()
        moved = bool((one != plain).any() and np.isfinite(largest))
        self.trials.append(
            Trial(
                rule.name, projection.name, where, changed if moved else (), differing, moved, True
            )
        )

    @property
    def labels(self) -> dict[str, str]:
        """The sample level of each projection's rule."""
        certificate = self.model.certificate
        return {rule.projection: rule.sample for rule in certificate.rules}

    def _of_samples(self, buffer: Buffer) -> bool:
        held = buffer.role in ROLES or (buffer.role == "sample" and buffer.place is Place.UNIT)
        return held and ROW in buffer.space and buffer.slots == 1 and not buffer.memory

    def _drawn(self, name: str, value: Array) -> Array:
        drawn = self.generator.random(value.shape)
        return np.round(drawn) if self.model.program.buffers[name].type is Type.BOOL else drawn

    def _mixed(self, name: str, old: Array, new: Array, first: bool, others: bool) -> Array:
        axis = self.model.program.buffers[name].space.index(ROW)
        mixed = np.moveaxis(old.copy(), axis, 0)
        source = np.moveaxis(new, axis, 0)
        chosen = np.full(len(mixed), others)
        chosen[ONE] = first
        mixed[chosen] = source[chosen]
        return np.moveaxis(mixed, 0, axis)
