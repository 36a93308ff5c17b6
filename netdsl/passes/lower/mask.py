"""Which synapses of a projection exist: a draw, and where it is needed a 0/1 matrix of it."""

from __future__ import annotations

from netdsl.ir.expr import Const
from netdsl.ir.network import Draw, Place, Projection
from netdsl.passes.lower.context import Context


def mask_draw(projection: Projection) -> Draw | None:
    """The draw that says which synapses exist; None where all do, or one for each neuron."""
    connectivity = projection.connectivity
    if connectivity.kind == "one_to_one" or connectivity.windows is not None:
        return None
    if connectivity.kind == "dense" and connectivity.self_connections:
        return None
    kind = connectivity.kind
    if kind == "sparse":
        kind = f"sparse:{connectivity.draw}"
    amount = connectivity.probability
    if kind == "array":
        amount = 1.0
    if amount is None:
        amount = float(connectivity.number or 0)
    # A unit meets itself where pre + shift = post, both counted within their slices.
    shift = _start(projection.pre_slice) - _start(projection.post_slice)
    return Draw(
        f"connect:{kind}",
        (Const(amount), Const(connectivity.self_connections), Const(shift)),
        connectivity.array or f"{projection.name}.mask",
        span=connectivity.span,
    )


def mask_of(context: Context, projection: Projection) -> str | None:
    """The 0/1 buffer by which values of missing synapses must be multiplied; None where every
    stored synapse exists."""
    draw = mask_draw(projection)
    if draw is None or projection.name in context.layouts:
        return None
    return _mask(context, projection, draw)


def presence_of(context: Context, projection: Projection) -> str | None:
    """The buffer that is 1 where a synapse exists, to be delivered; None for a full matrix."""
    draw = mask_draw(projection)
    if draw is None:
        return None
    return _mask(context, projection, Const(1.0) if projection.name in context.layouts else draw)


def _mask(context: Context, projection: Projection, init: Draw | Const) -> str:
    return context.need(
        f"{projection.name}.mask",
        Place.SYNAPSE,
        projection.name,
        "mask",
        "which synapses exist",
        init=init,
        tag="",
    )


def _start(part: tuple[int, int] | None) -> int:
    return part[0] if part is not None else 0
