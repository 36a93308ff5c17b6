"""`update` statements: one routine each, of the rules that run `at update`."""

from __future__ import annotations

from netdsl.ir.program import Op, Routine
from netdsl.ir.protocol import Update
from netdsl.passes.errors import LoweringError
from netdsl.passes.lower.context import Context
from netdsl.passes.lower.learning import together, update_learning
from netdsl.passes.lower.settle import Settle
from netdsl.passes.lower.sites import Site
from netdsl.passes.lower.synapse import Factors


def update_routine(context: Context, site: Site, step: Update) -> Routine:
    """`update`: the rules that run there, all of them from the weights of before."""
    network = context.network
    clamped = frozenset(c.target for c in site.clamps)
    settle, factors = Settle(context, clamped), Factors(context)
    ops: list[Op] = []
    for name in step.projections:
        projection = network.projections[name]
        if projection.rule is None:
            raise LoweringError(
                "E0531",
                f"`update {name}`: the projection has no rule",
                step.span,
                f"add `learn RULE(...)` to `{name}` or take it out of the list",
            )
        if projection.rule.loss is None and name not in context.transposed:
            ops += update_learning(context, projection, settle, factors)
    return Routine(step.site, "update", together(ops), span=step.span)
