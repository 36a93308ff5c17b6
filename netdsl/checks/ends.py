"""How many neurons the ends of a projection have."""

from __future__ import annotations

from netdsl.ir.network import Network, Projection


def sizes(network: Network, projection: Projection) -> tuple[int, int]:
    """Numbers of presynaptic and postsynaptic neurons, of the slices if it has any."""
    return (
        _size(network, projection.pre, projection.pre_slice),
        _size(network, projection.post, projection.post_slice),
    )


def _size(network: Network, population: str, part: tuple[int, int] | None) -> int:
    return network.populations[population].size if part is None else part[1] - part[0]
