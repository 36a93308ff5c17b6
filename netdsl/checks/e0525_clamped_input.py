"""E0525: `clamp` of an input that projections feed."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.diagnostics import NO_SPAN, Diagnostic, Label
from netdsl.ir import protocol as proto
from netdsl.ir.network import Kind, Network
from netdsl.ir.protocol import steps_of


def check(network: Network) -> Iterator[Diagnostic]:
    """What projections deliver and what a clamp binds cannot both be the input's value."""
    for protocol in network.protocols.values():
        for step in steps_of(protocol.body):
            if not isinstance(step, proto.Clamp):
                continue
            variable = network.table.get(step.target)
            if variable is None or variable.kind is not Kind.INPUT:
                continue
            for projection in network.projections.values():
                if any(deliver.input == step.target for deliver in projection.delivers):
                    at = projection.span
                    labels = (Label(at, f"`{projection.name}` delivers to it"),) if at else ()
                    yield Diagnostic(
                        "E0525",
                        f"`{step.target}` is fed by `{projection.name}`, so it cannot be clamped",
                        step.span or NO_SPAN,
                        labels,
                        "clamp a state, or an input of its own that the cell adds",
                    )
                    break
