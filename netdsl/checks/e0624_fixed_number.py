"""E0624: more synapses per neuron than there are partners."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.checks.ends import sizes
from netdsl.diagnostics import NO_SPAN, Diagnostic
from netdsl.ir.network import Network


def check(network: Network) -> Iterator[Diagnostic]:
    """`fixed_in(n)` draws n different presynaptic neurons, `fixed_out(n)` n postsynaptic ones."""
    for projection in network.projections.values():
        links = projection.connectivity
        if links.kind not in ("fixed_in", "fixed_out") or links.number is None:
            continue
        pre, post = sizes(network, projection)
        partners = pre if links.kind == "fixed_in" else post
        partners -= int(projection.pre == projection.post and not links.self_connections)
        if links.number > partners:
            yield Diagnostic(
                "E0624",
                f"`{projection.name}` asks for {links.number} synapses per neuron among "
                f"{partners} partners",
                links.span or projection.span or NO_SPAN,
                help=f"at most {partners}, which is `dense`",
            )
