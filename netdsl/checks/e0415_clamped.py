"""E0415: a derivative through the statements of a state that a clamp puts out of force."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.dataflow.walk import walk_host
from netdsl.diagnostics import NO_SPAN, Diagnostic, Label
from netdsl.ir.network import Network


def check(network: Network) -> Iterator[Diagnostic]:
    """While a clamp binds a state it does not follow its statements, but a `vjp` would."""
    clamps = [flow for flow in walk_host(network) if flow.kind == "clamp"]
    for variable in network.table.values():
        for clamp in clamps:
            if clamp.target in variable.through:
                yield Diagnostic(
                    "E0415",
                    f"`{clamp.target}` is clamped, and a `vjp` goes through its statements",
                    clamp.span or NO_SPAN,
                    labels=(Label(variable.span or NO_SPAN, "this derivative"),),
                    help="clamp an input, or put the value there with `set`",
                )
