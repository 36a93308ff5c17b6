"""Kernels that many positions share: their change is a sum over synapses that are not one another.

What a rule reads is at one connection; that the changes of all places are then added up, and put
on all of them, is more than a synapse can do (reference, section 7, space 3b). A derivative of a
loss is non-local already, with that sum in it.
"""

from __future__ import annotations

from netdsl.ir.network import Projection, Rule
from netdsl.locality.labels import Label, Level
from netdsl.locality.provenance import AGGREGATED
from netdsl.locality.reads import Violation, line_of


def shared_kernel(projection: Projection, rule: Rule) -> tuple[Label, Violation] | None:
    """What it does to a rule's label that its synapses are one; None where each has its own."""
    windows = projection.connectivity.windows
    if windows is None or windows.positions < 2 or rule.loss is not None:
        return None
    span = projection.connectivity.span or projection.span
    text = f"the kernel of `{projection.name}` sums the changes of {windows.positions} positions"
    violation = Violation(
        AGGREGATED,
        "E0311",
        text,
        span,
        (projection.name, rule.name),
        path=(f"{line_of(span)}: {text}",),
        note="shares its weights",
    )
    return Label(space=Level(AGGREGATED)), violation
