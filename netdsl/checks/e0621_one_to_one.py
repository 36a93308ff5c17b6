"""E0621: `one_to_one` between different numbers of neurons."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.checks.ends import sizes
from netdsl.diagnostics import NO_SPAN, Diagnostic
from netdsl.ir.network import Network


def check(network: Network) -> Iterator[Diagnostic]:
    """The two ends of a one-to-one projection are equally many."""
    for projection in network.projections.values():
        pre, post = sizes(network, projection)
        if projection.connectivity.kind == "one_to_one" and pre != post:
            yield Diagnostic(
                "E0621",
                f"`{projection.name}` is one to one, but `{projection.pre}` has {pre} neurons "
                f"and `{projection.post}` has {post}",
                projection.connectivity.span or projection.span or NO_SPAN,
                help="make the sizes equal, or connect with `dense` or `sparse(…)`",
            )
