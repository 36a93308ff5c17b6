"""E0183: a number for each slot of a window is read as if there were one."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.dataflow.walk import walk_network
from netdsl.diagnostics import NO_SPAN, Diagnostic
from netdsl.ir.network import Network


def check(network: Network) -> Iterator[Diagnostic]:
    """Every read of such a modulator says of which slot."""
    for flow in walk_network(network):
        for ref in flow.sources:
            variable = network.table.get(ref.path)
            if variable is not None and variable.memory and not ref.slot:
                name = ref.path.partition(".")[0]
                yield Diagnostic(
                    "E0183",
                    f"`{name}` has a number for each slot of `{variable.memory}`",
                    ref.span or flow.span or NO_SPAN,
                    help=f"say of which: `{name}[newest]`, or `{name}[q]` in a reduction over "
                    f"`{variable.memory}`",
                )
