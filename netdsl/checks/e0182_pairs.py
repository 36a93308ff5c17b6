"""E0182: a modulator with a number for each two slots is read without both."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.dataflow.walk import walk_network
from netdsl.diagnostics import NO_SPAN, Diagnostic
from netdsl.ir.expr import refs
from netdsl.ir.network import Network, Place


def check(network: Network) -> Iterator[Diagnostic]:
    """Wherever one is read it has two indices."""
    pairs = {
        path: variable
        for population in network.populations.values()
        for path, variable in population.variables.items()
        if variable.place is Place.PAIR
    }
    if not pairs:
        return
    for flow in walk_network(network):
        for ref in refs(flow.expr):
            if ref.path in pairs and "," not in ref.slot:
                name = pairs[ref.path].owner
                yield Diagnostic(
                    "E0182",
                    f"`{name}` has a number for each two slots",
                    ref.span or flow.span or NO_SPAN,
                    help=f"read it in a modulator, as in `mean({name}[p, q] over q in batch)`",
                )
