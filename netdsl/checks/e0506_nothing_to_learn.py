"""E0506: a protocol lets a projection learn that has no rule for that moment."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.diagnostics import NO_SPAN, Diagnostic, Label
from netdsl.diagnostics.span import Span
from netdsl.ir import protocol as proto
from netdsl.ir.network import Network
from netdsl.locality.flow import steps_of

MOMENTS = {"step": "phase … learning", "update": "update"}


def check(network: Network) -> Iterator[Diagnostic]:
    """`update P` and `learning P` name projections whose rule runs then."""
    for protocol in network.protocols.values():
        for step in steps_of(protocol.body):
            if isinstance(step, proto.Update):
                for name in step.projections:
                    yield from _named(network, name, "update", step.span)
            elif isinstance(step, proto.RunPhase) and not _everything(network, step):
                for name in sorted(step.learning):
                    yield from _named(network, name, "step", step.span)


def _everything(network: Network, step: proto.RunPhase) -> bool:
    # `learning` alone: all that have a rule to run at every step.
    stepping = {p.name for p in network.projections.values() if p.rule and p.rule.clock == "step"}
    return stepping <= step.learning


def _named(network: Network, name: str, clock: str, span: Span | None) -> Iterator[Diagnostic]:
    projection = network.projections.get(name)
    if projection is None or (projection.rule is not None and projection.rule.clock == clock):
        return
    labels: tuple[Label, ...] = ()
    if projection.span is not None:
        labels = (Label(projection.span, f"`{name}` is declared here"),)
    if projection.rule is None:
        message, help = f"`{name}` has no rule, so it cannot learn", "give it `learn RULE(…)`"
    else:
        other = MOMENTS[projection.rule.clock]
        message = f"rule `{projection.rule.name}` of `{name}` does not run here"
        help = f"it runs at `{other}`"
    yield Diagnostic("E0506", message, span or NO_SPAN, labels, help)
