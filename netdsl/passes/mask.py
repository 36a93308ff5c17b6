"""Masks: which synapses of a projection exist."""

from __future__ import annotations

from netdsl.ir.expr import Const
from netdsl.ir.network import Draw, Place, Projection
from netdsl.passes.context import Context


def mask_of(context: Context, projection: Projection) -> str | None:
    """The 0/1 buffer of existing synapses of a projection that is not full; None for dense."""
    connectivity = projection.connectivity
    if connectivity.kind == "one_to_one":
        return None
    if connectivity.kind == "dense" and connectivity.self_connections:
        return None
    kind = connectivity.kind
    if kind == "sparse":
        kind = f"sparse:{connectivity.draw}"
    amount = connectivity.probability
    if amount is None:
        amount = float(connectivity.number or 0)
    # A unit meets itself where pre + shift = post, both counted within their slices.
    shift = _start(projection.pre_slice) - _start(projection.post_slice)
    name = f"{projection.name}.mask"
    init = Draw(
        f"connect:{kind}",
        (Const(amount), Const(connectivity.self_connections), Const(shift)),
        name,
        span=connectivity.span,
    )
    return context.need(
        name, Place.SYNAPSE, projection.name, "mask", "which synapses exist", init=init
    )


def _start(part: tuple[int, int] | None) -> int:
    return part[0] if part is not None else 0
