"""Notes of a schedule: what was computed once, cut or factored, and why not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from netdsl.ir.expr import refs
from netdsl.ir.network import Deliver, Place, Projection
from netdsl.ir.program import Op, SynapseUpdate
from netdsl.ir.roles import of_kind
from netdsl.passes.lower.body import Body
from netdsl.passes.lower.context import Context
from netdsl.passes.lower.invariant import Invariants


def delivery_note(facts: Invariants, projection: Projection, deliver: Deliver) -> str:
    """Why a delivery is computed once per phase or at every step."""
    name = projection.name
    if facts.constant_send(projection, deliver):
        return f"{name}: computed once per phase, its source is held"
    if name in facts.changing:
        return f"{name}: at every step, its weights learn"
    if projection.delay > 1:
        return f"{name}: at every step, its delay is {projection.delay} steps"
    moving = next((r.path for r in refs(deliver.value) if not facts.constant(r.path)), "its source")
    return f"{name}: at every step, `{moving}` changes"


def cut_notes(bodies: Mapping[str, Body], late: Iterable[str]) -> list[str]:
    """Bodies that could not stay one loop."""
    waited = set(late)
    notes = []
    for name, body in bodies.items():
        if len(body.segments) > 1:
            inputs = sorted(set().union(*(s.inputs for s in body.segments[1:])) & waited)
            text = ", ".join(f"`{path}`" for path in inputs)
            count = len(body.segments)
            notes.append(f"{name}: {count} loops, cut where {text} arrives within the step")
    return notes


def learning_notes(ops: Iterable[Op]) -> list[str]:
    """What a change is summed from, and what its pass touches."""
    notes = []
    for op in of_kind(SynapseUpdate, ops):
        if op.sums:
            factors = {
                f"{product.pre or 'ones'} x {product.post or 'ones'}"
                for total in op.sums
                for product in total.products
            }
            notes.append(
                f"{op.projection}: change factored into {', '.join(sorted(factors))}; "
                "one pass over the weights"
            )
    return notes


def placing_notes(context: Context, projection: Projection) -> list[str]:
    """Where the states of a projection's rule are kept, or that a sweep stands for them."""
    rule, form = projection.rule, context.forms.get(projection.name)
    if rule is None:
        return []
    swept = projection.name in context.transposed
    kept = [
        f"{path}: {why}"
        for path, why in rule.notes.items()
        if not (swept and rule.variables[path].place is Place.ROW_SYNAPSE)
    ]
    return kept if form is None else [*kept, form]
