"""Walking the statements of protocols."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.ir.network import Network
from netdsl.ir.protocol import Choose, Each, Repeat, Step


def inside(steps: tuple[Step, ...]) -> Iterator[Step]:
    """All statements of a block and of the blocks in it, in order of the text."""
    for step in steps:
        yield step
        if isinstance(step, Each | Repeat):
            yield from inside(step.body)
        elif isinstance(step, Choose):
            yield from inside(step.then)
            yield from inside(step.otherwise)


def all_steps(network: Network, protocol: str | None = None) -> Iterator[Step]:
    """All statements of all protocols, or of the one named."""
    for name, held in network.protocols.items():
        if protocol in (None, name):
            yield from inside(held.body)
