"""Which projections store only the synapses that exist, and which a matrix with a mask."""

from __future__ import annotations

import math
from collections.abc import Container, Iterator

from netdsl.dataflow.walk import Flow, walk_host
from netdsl.ir.network import Connectivity, Network, Projection
from netdsl.ir.program import Edges
from netdsl.ir.protocol import SetState
from netdsl.passes.lower.mask import mask_draw

AUTO, EDGES, MASKED = "auto", "edges", "masked"
# Measured with 1000 to 4000 units and 64 rows: in NumPy a delivery and an update by synapse cost as
# much as those of a matrix at a density of about 0.1, in C at 0.2 (delivery) to 0.4 (update).
DENSITY = 0.1


def edge_layouts(network: Network, form: str = AUTO) -> dict[str, Edges]:
    """The layouts of projections stored by synapse.

    `form`: "auto" decides by expected density; "edges" stores whatever can be by synapse, "masked"
    nothing.
    """
    found: dict[str, Edges] = {}
    whole = _taken_as_matrices(network)
    for projection in network.projections.values():
        draw = mask_draw(projection)
        if draw is None or form == MASKED or projection.name in whole or projection.carrier:
            continue
        if projection.connectivity.kind == "array":  # known when the network is built
            continue
        share = density(projection.connectivity, *shape_of(network, projection))
        if form == EDGES or share < DENSITY:
            found[projection.name] = Edges(draw, share)
    return found


def density(connectivity: Connectivity, m: int, n: int) -> float:
    """The expected share of existing synapses among m x n."""
    p = connectivity.probability or 0.0
    if connectivity.kind == "sparse":
        twice = connectivity.draw == "pairs_with_replacement"
        return -math.expm1(-p) if twice else p
    if connectivity.kind in ("fixed_in", "fixed_out"):
        of = m if connectivity.kind == "fixed_in" else n
        return min(1.0, (connectivity.number or 0) / max(1, of))
    return 1.0


def shape_of(network: Network, projection: Projection) -> tuple[int, int]:
    """(m, n) of a projection, in neurons of its slices."""
    pre, post = network.populations[projection.pre], network.populations[projection.post]
    return _width(projection.pre_slice, pre.size), _width(projection.post_slice, post.size)


def layout_notes(network: Network, layouts: Container[str]) -> Iterator[str]:
    """A line for every projection that is not full: how it is stored, and why."""
    whole = _taken_as_matrices(network)
    for projection in network.projections.values():
        if mask_draw(projection) is None or projection.carrier is not None:
            continue
        m, n = shape_of(network, projection)
        share = density(projection.connectivity, m, n)
        if projection.connectivity.kind == "dense":
            share = 1.0 - min(m, n) / max(1, m * n)
        if projection.connectivity.kind == "array":
            yield f"{projection.name}: {m} x {n}; a matrix with a mask, which a file gives"
            continue
        head = f"{projection.name}: density {share:.3g} of {m} x {n} synapses expected"
        if projection.name in layouts:
            yield f"{head}; only existing synapses are stored"
        elif projection.name in whole and share < DENSITY:
            yield f"{head}; a matrix with a mask, because `set` takes it whole"
        else:
            yield f"{head}; a matrix with a mask (edges below {DENSITY:g})"


def _taken_as_matrices(network: Network) -> set[str]:
    """Projections whose weights are copied to or from others."""
    found: set[str] = set()
    for flow in walk_host(network):
        if isinstance(flow.node, SetState) and flow.target in network.table:
            found |= _owners(network, flow)
    return found & set(network.projections)


def _owners(network: Network, flow: Flow) -> set[str]:
    paths = [flow.target, *(ref.path for ref in flow.sources)]
    return {network.table[path].owner for path in paths if path in network.table}


def _width(part: tuple[int, int] | None, size: int) -> int:
    return size if part is None else part[1] - part[0]
