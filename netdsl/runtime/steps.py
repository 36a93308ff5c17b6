"""Walking the statements of protocols."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.ir.network import Network
from netdsl.ir.protocol import Step, steps_of


def all_steps(network: Network, protocol: str | None = None) -> Iterator[Step]:
    """All statements of all protocols, or of the one named."""
    for name, held in network.protocols.items():
        if protocol in (None, name):
            yield from steps_of(held.body)
