"""L0501: a rule that no protocol ever runs."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.diagnostics import NO_SPAN, Diagnostic
from netdsl.ir import protocol as proto
from netdsl.ir.network import Network
from netdsl.ir.protocol import steps_of


def check(network: Network) -> Iterator[Diagnostic]:
    """Every projection with a rule learns in some phase or update, if the file has protocols."""
    if not network.protocols:
        return
    named: set[str] = set()
    advanced: set[str] = set()  # projections whose rules' states do
    for protocol in network.protocols.values():
        for step in steps_of(protocol.body):
            if isinstance(step, proto.Update):
                named.update(step.projections)
            elif isinstance(step, proto.RunPhase):
                named |= network.changing(step.learning)
                advanced |= step.learning
    for projection in network.projections.values():
        rule = projection.rule
        if rule is not None and projection.name not in named:
            moment = "learning phase" if rule.clock == "step" else "update"
            yield Diagnostic(
                "L0501",
                f"`{projection.name}` never learns: no {moment} names it",
                rule.learn_span or projection.span or NO_SPAN,
                severity="lint",
            )
        elif rule is not None and rule.statements and projection.name not in advanced:
            yield Diagnostic(
                "L0501",
                f"the states of `{rule.name}` on `{projection.name}` never advance: no learning "
                "phase names it",
                rule.learn_span or projection.span or NO_SPAN,
                severity="lint",
                help=f"write `phase … steps learning` where `{projection.name}` is to follow",
            )
