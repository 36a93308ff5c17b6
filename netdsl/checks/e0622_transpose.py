"""E0622: the transpose of a projection whose ends do not fit."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.checks.ends import sizes
from netdsl.diagnostics import NO_SPAN, Diagnostic, Label
from netdsl.ir.network import Network


def check(network: Network) -> Iterator[Diagnostic]:
    """A transpose runs between as many neurons as its original, the other way round."""
    for projection in network.projections.values():
        original = network.projections.get(projection.carrier or "")
        if original is None:
            continue
        pre, post = sizes(network, projection)
        first, second = sizes(network, original)
        if (pre, post) != (second, first):
            labels = (Label(original.span, f"{first} -> {second}"),) if original.span else ()
            yield Diagnostic(
                "E0622",
                f"`{projection.name}` joins {pre} to {post} neurons, but the transpose of "
                f"`{original.name}` joins {second} to {first}",
                projection.span or NO_SPAN,
                labels,
                f"the transpose runs `{original.post} -> {original.pre}`",
            )
