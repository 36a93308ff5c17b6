"""E0525: `clamp` of an input that projections feed."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.dataflow.walk import walk_network
from netdsl.diagnostics import NO_SPAN, Diagnostic, Label
from netdsl.ir.network import Kind, Network


def check(network: Network) -> Iterator[Diagnostic]:
    """What projections deliver and what a clamp binds cannot both be the input's value."""
    fed: dict[str, str] = {}
    for flow in walk_network(network):
        variable = network.table.get(flow.target)
        if flow.channel is not None:
            fed.setdefault(flow.target, flow.channel)
        elif flow.kind == "clamp" and flow.target in fed and variable is not None:
            if variable.kind is not Kind.INPUT:
                continue
            name = fed[flow.target]
            at = network.projections[name].span
            yield Diagnostic(
                "E0525",
                f"`{flow.target}` is fed by `{name}`, so it cannot be clamped",
                flow.span or NO_SPAN,
                (Label(at, f"`{name}` delivers to it"),) if at else (),
                "clamp a state, or an input of its own that the cell adds",
            )
