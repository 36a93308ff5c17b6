"""E0623: self-connections are excluded where there can be none."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.diagnostics import NO_SPAN, Diagnostic
from netdsl.ir.network import Network


def check(network: Network) -> Iterator[Diagnostic]:
    """Only a projection from a population to itself has self-connections to exclude."""
    for projection in network.projections.values():
        different = projection.pre != projection.post
        if different and not projection.connectivity.self_connections:
            yield Diagnostic(
                "E0623",
                f"`{projection.name}` joins different populations: it has no self-connections",
                projection.connectivity.span or projection.span or NO_SPAN,
                help="leave the option out",
            )
