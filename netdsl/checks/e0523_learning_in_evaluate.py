"""E0523: an evaluation would learn."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.diagnostics import NO_SPAN, Diagnostic, Label
from netdsl.ir import protocol as proto
from netdsl.ir.network import Network
from netdsl.ir.protocol import steps_of


def check(network: Network) -> Iterator[Diagnostic]:
    """No `update` and no learning phase is reached by `evaluate`, also through others."""
    for protocol in network.protocols.values():
        for step in steps_of(protocol.body):
            if isinstance(step, proto.Evaluate):
                yield from _reached(network, step, step.protocol, frozenset())


def _reached(
    network: Network, origin: proto.Evaluate, name: str, seen: frozenset[str]
) -> Iterator[Diagnostic]:
    protocol = network.protocols.get(name)
    if protocol is None or name in seen:
        return
    for step in steps_of(protocol.body):
        if isinstance(step, proto.Evaluate | proto.RunProtocol):
            yield from _reached(network, origin, step.protocol, seen | {name})
        elif (what := _learns(step)) is not None:
            here = origin.span
            labels = (Label(here, "the evaluation"),) if here is not None else ()
            yield Diagnostic(
                "E0523",
                f"evaluating `{origin.protocol}` would learn: {what} of protocol `{name}`",
                step.span or here or NO_SPAN,
                labels,
                "evaluate a protocol whose phases are not marked `learning`",
            )


def _learns(step: proto.Step) -> str | None:
    """What in a step changes weights."""
    if isinstance(step, proto.Update):
        return "an update"
    if isinstance(step, proto.Rewire):
        return f"rewiring `{step.name}`"
    learning = isinstance(step, proto.RunPhase) and bool(step.learning)
    return f"phase `{step.name}`" if isinstance(step, proto.RunPhase) and learning else None
