"""`SynapseUpdate` of a projection that stores only existing synapses, as C.

Tiles are ranges of synapses: their batch products are formed in scratch that stays in cache, then
the statements run over them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from netdsl.codegen.c.synapses import ProductCode, UpdateCode, UpdateWriter
from netdsl.codegen.plan.layout import Layout
from netdsl.ir.program import SynapseUpdate

EDGE_TILE = 4096  # synapses whose products are formed together


@dataclass
class Turn:
    """A factor whose rows are brought together by neuron; `before` counts neurons turned earlier.

    `unless`: products, by number, that do without when they go by lists; () if one always needs it.
    """

    source: str
    offset: int
    stride: int
    width: int
    before: int
    unless: list[int] = field(default_factory=list)


@dataclass
class EdgeProduct(ProductCode):
    """`turned`: which turned factors, from 1, are its ends."""

    turned: tuple[int, int] = (0, 0)


@dataclass
class EdgeUpdateCode(UpdateCode):
    """What `templates/c/synapse_edges.c.j2` needs; `bytes` and `flops` are of one synapse."""

    edges: str = ""
    turns: list[Turn] = field(default_factory=list)


class EdgeWriter(UpdateWriter):
    """Writes one synapse update over existing synapses."""

    element = "[e - first]"
    synapse, pre, post = "e", "pre[e]", "post[e]"

    def size(self) -> int:
        """Bytes and operations are counted for one synapse."""
        return 1

    def _pointer(self, buffer: str, stored: bool) -> str:
        name = self.layout.names(buffer)
        const = "" if stored else "const "
        return f"{const}real *restrict {name} = net->{name};"


def edge_update(op: SynapseUpdate, layout: Layout) -> EdgeUpdateCode:
    """Code of one learning pass over existing synapses."""
    code = EdgeWriter(op, layout).write()
    turns: list[Turn] = []
    products: list[ProductCode] = []
    for product in code.products:
        ends = [
            _turned(turns, product.number if product.pre_list else 0, *end)
            for end in (
                (product.pre, product.pre_offset, product.pre_width, code.m),
                (product.post, product.post_offset, product.post_width, code.n),
            )
        ]
        products.append(EdgeProduct(**vars(product), turned=(ends[0], ends[1])))
    for turn in turns:
        turn.unless = [] if 0 in turn.unless else turn.unless
    layout.tile_reals = max(layout.tile_reals, len(products) * EDGE_TILE)
    layout.turned_width = max(layout.turned_width, sum(turn.width for turn in turns))
    made = {**vars(code), "products": products, "dense_tile": EDGE_TILE}
    return EdgeUpdateCode(**made, edges=layout.edges[op.projection], turns=turns)


def _turned(
    turns: list[Turn], listed: int, source: str, offset: int, stride: int, width: int
) -> int:
    """The number of the turned factor, made on first request."""
    for number, turn in enumerate(turns, start=1):
        if (turn.source, turn.offset, turn.width) == (source, offset, width):
            turn.unless.append(listed)
            return number
    before = sum(turn.width for turn in turns)
    turns.append(Turn(source, offset, stride, width, before, [listed]))
    return len(turns)
