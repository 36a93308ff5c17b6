"""E0644: a shared kernel that would have to know which neuron it stands for."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.dataflow.walk import walk_projection
from netdsl.diagnostics import NO_SPAN, Diagnostic, Span
from netdsl.ir.expr import Index, span_of, walk
from netdsl.ir.network import Network, Projection

_HELP = "make the projection `dense`, or give the populations a state that holds the difference"


def check(network: Network) -> Iterator[Diagnostic]:
    """A kernel shared by all positions has no neuron of its own at either end."""
    for projection in network.projections.values():
        if projection.connectivity.windows is None:
            continue
        span = _of_one_neuron(projection)
        if span is not None:
            yield Diagnostic(
                "E0644",
                f"the kernel of `{projection.name}` is shared by many pairs of neurons: nothing "
                "about it can depend on one neuron's index",
                span,
                help=_HELP,
            )


def _of_one_neuron(projection: Projection) -> Span | None:
    """Where one neuron is asked for; None where it is not."""
    whole = projection.connectivity.span or projection.span or NO_SPAN
    if not projection.connectivity.self_connections:
        return whole
    flows = tuple(walk_projection(projection))
    for flow in flows:
        for node in walk(flow.expr):
            if isinstance(node, Index) and node.side in ("pre", "post"):
                return span_of(node) or whole
    for flow in flows:
        for ref in flow.sources if flow.kind == "initial" else ():
            if ref.side in ("pre", "post"):
                return ref.span or whole
    return None
