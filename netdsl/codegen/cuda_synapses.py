"""`SynapseUpdate` as CUDA: one pass over the synapses with batch products in registers.

Two forms of the same statements: `tiled`, where a block multiplies tiles of the pre- and
postsynaptic factors, and `rowwise`, where the rows in which a presynaptic neuron is active are
listed and gathered.
"""

from __future__ import annotations

from itertools import groupby

from netdsl.codegen.c_layout import Layout, Window
from netdsl.codegen.c_synapses import ProductCode, UpdateCode, UpdateWriter
from netdsl.ir.program import SynapseUpdate

Groups = list[tuple[str, list[ProductCode]]]


class _RegisterWriter(UpdateWriter):
    """Products are names of registers."""

    element = ""


def batch_windows(op: SynapseUpdate, layout: Layout) -> tuple[tuple[Window, ...] | None, bool]:
    """Presynaptic windows of the products of two factors (None: there are none), and whether all
    of them hold only 0 and 1."""
    products = [
        p for total in op.sums for p in total.products if p.pre is not None and p.post is not None
    ]
    if not products:
        return None, False
    windows = dict.fromkeys(layout.window(p.pre, op.pre_slice) for p in products if p.pre)
    return tuple(windows), all(p.binary_pre for p in products)


def tiled(op: SynapseUpdate, layout: Layout) -> UpdateCode:
    """Code for `templates/cuda/synapse_tiles.cu.j2`."""
    return _RegisterWriter(op, layout).write()


def rowwise(op: SynapseUpdate, layout: Layout) -> tuple[UpdateCode, Groups]:
    """Code for `templates/cuda/synapse_rows.cu.j2`; products that share a list are one loop."""
    code = _RegisterWriter(op, layout).write()
    ordered = sorted(code.products, key=lambda product: product.pre_list)
    groups = groupby(ordered, key=lambda product: product.pre_list)
    return code, [(name, list(products)) for name, products in groups]
