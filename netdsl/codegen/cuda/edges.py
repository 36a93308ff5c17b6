"""`Propagate` and `SynapseUpdate` over existing synapses as CUDA.

Factors are turned first, so that threads of successive rows read successive numbers. A delivery has
a thread for each receiver and row, which adds up its synapses in their order; an update has one for
each synapse.
"""

from __future__ import annotations

from netdsl.codegen.c.edges import EdgeWriter
from netdsl.codegen.c.synapses import propagate
from netdsl.codegen.cuda.plan import STRIDE_LIMIT, THREADS, Action, Extent
from netdsl.codegen.cuda.synapses import UpdateActions, update_code
from netdsl.codegen.cuda.writer import KernelWriter
from netdsl.codegen.plan.derived import out_of
from netdsl.codegen.plan.instructions import MakeTurned
from netdsl.ir.program import Propagate, SynapseUpdate

SIDE = 32  # as in templates/cuda/turn.cu.j2


class _EdgeRegisterWriter(EdgeWriter):
    """Products are names of registers."""

    element = ""


def turn(need: MakeTurned, writer: KernelWriter) -> tuple[Action, ...]:
    """A window's rows by neuron."""
    window, layout = need.window, writer.layout
    code = {
        "source": layout.names(window.buffer),
        "stride": layout.width(window.buffer),
        "first": window.first,
        "width": window.width,
        "turned": layout.turned_of(window),
    }
    grid = {"threads": THREADS, "x": Extent(window.width, 0, SIDE), "y": Extent(0, 1, SIDE)}
    return (Action(writer.kernel("turn", need, grid, code=code)),)


def deliver_edges(op: Propagate, writer: KernelWriter) -> tuple[Action, ...]:
    """One projection's delivery."""
    layout, code = writer.layout, propagate(op, writer.layout)
    receivers = code.m if op.transposed else code.n
    grid = {"threads": THREADS, "x": Extent(0, receivers, THREADS, STRIDE_LIMIT)}
    turned = layout.turned_of(layout.window(op.source, out_of(op)))
    kernel = writer.kernel(
        "propagate_edges", op, grid, code=code, receivers=receivers, turned=turned
    )
    return (Action(kernel),)


def learn_edges(op: SynapseUpdate, writer: KernelWriter) -> UpdateActions:
    """One learning pass."""
    layout = writer.layout
    code, prepare = update_code(op, writer, _EdgeRegisterWriter)
    names = {
        product.name: tuple(
            layout.turned_of(layout.window(buffer, part))
            for buffer, part in zip(ends, (op.pre_slice, op.post_slice), strict=True)
        )
        for product, ends in zip(code.products, _ends(op), strict=True)
    }
    count = layout.edge_counts[op.projection]
    grid = {"threads": THREADS, "x": Extent(count, 0, THREADS, STRIDE_LIMIT)}
    kernel = writer.kernel(
        "synapse_edges", op, grid, code=code, edges=layout.edges[op.projection], turned=names
    )
    return UpdateActions(prepare, (Action(kernel),))


def _ends(op: SynapseUpdate) -> list[tuple[str, str]]:
    """Factors of the products, in the order in which these are numbered."""
    products = (product for total in op.sums for product in total.products)
    return list(dict.fromkeys((p.pre, p.post) for p in products if p.pre and p.post))
