"""Rules declared online, run in reverse: the sweep through the recursions of their states.

The phase's `TransposedSteps` stand for the recursions. Of a final state the adjoint is what the
change multiplies it by; what enters gets, at each step, what its factor is multiplied by.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from netdsl.ir.algebra.derivative import derivative
from netdsl.ir.algebra.factor import times
from netdsl.ir.algebra.simplify import simplify
from netdsl.ir.expr import Expr, Load
from netdsl.ir.network import Projection
from netdsl.ir.program import Elementwise, Op, Product, Routine, Store
from netdsl.passes.lower.context import Context, Transposed, add
from netdsl.passes.lower.form import own, stated, unstated
from netdsl.passes.lower.learning import UpdateBuilder
from netdsl.passes.lower.mask import mask_of
from netdsl.passes.lower.settle import Settle
from netdsl.passes.lower.synapse import Factors, Read
from netdsl.passes.reverse.adjoints import Adjoints
from netdsl.passes.reverse.sweep import Sweep
from netdsl.passes.reverse.tape import Tape


@dataclass
class OnlineChange:
    """The change of weights whose rules run in reverse at one `update`."""

    context: Context
    tape: Tape
    projections: list[Projection]
    number: int
    settle: Settle

    def sweep(self, alone: bool) -> Sweep:
        """The sweep from the final states; if not `alone`, all steps are in its loop."""
        adjoints = Adjoints(self.context, self.number)
        plans = {p.name: self.context.transposed[p.name] for p in self.projections}
        through = {weight for plan in plans.values() for _, weight in plan.inputs.values()}
        self.result = Sweep(self.tape, adjoints, set(self.context.imagined), through)
        if not alone:
            self.result.most = 0
        for projection in self.projections:
            self._seeds(projection, plans[projection.name], adjoints)
        self.result.run(())
        return self.result

    def _seeds(self, projection: Projection, plan: Transposed, adjoints: Adjoints) -> None:
        """The adjoints of the final states: what the change multiplies each by."""
        assert projection.rule is not None
        slopes: dict[str, Expr] = {}
        for term in stated(self.context, projection.rule):
            assert term.post is not None
            for path in sorted(own(projection.rule, term.post)):
                slope = times(term.scalar, simplify(derivative(term.post, path)))
                assert slope is not None
                slopes[path] = add(slopes[path], slope) if path in slopes else slope
        for path, slope in slopes.items():
            if (plan.states[path], 0) in adjoints.live:  # of a projection that shares them
                continue
            ops, value = self._read(projection.post, slope, 0)
            name = adjoints.name(plan.states[path])
            self.result.once += [*ops, Elementwise(projection.post, (Store(name, value),))]
            adjoints.live.add((plan.states[path], 0))

    def _read(self, population: str, expr: Expr, delay: int) -> tuple[list[Op], Expr]:
        """A bare read at `update` is settled."""
        self.settle.ops = []
        value = self.settle.value(population, expr)
        return self.settle.ops, value

    def update(self, projection: Projection) -> list[Op]:
        """The learning pass of one projection."""
        assert projection.rule is not None
        read: Read = self._read
        builder = UpdateBuilder(
            self.context, projection, projection.rule, read, Factors(self.context)
        )
        found, more = self._found(builder, self.context.transposed[projection.name])
        rest = unstated(projection.rule)
        others = () if rest is None else builder.products((rest,))
        return builder.build((*others, *found), more)

    def _found(self, builder: UpdateBuilder, plan: Transposed) -> tuple[list[Product], Expr | None]:
        """What the sweep found: products of what ran once, and the sum over the other steps."""
        products: list[Product] = []
        total: Expr | None = None
        for (_, synapse), (_, weight) in plan.inputs.items():
            mask = mask_of(self.context, builder.projection)
            share = times(builder.share(synapse), None if mask is None else Load(mask))
            for product in self.result.products.get(weight, ()):
                products.append(replace(product, coefficient=times(product.coefficient, share)))
            if weight in self.result.totals:
                part = times(Load(self.result.totals[weight]), share)
                assert part is not None
                total = part if total is None else add(total, part)
        return products, total


def without_imagined(context: Context, routine: Routine) -> Routine:
    """The routine without what only sweeps are derived from."""

    real = (op for op in routine.step if not op.writes or not op.writes <= context.imagined)
    return replace(routine, step=tuple(real))
