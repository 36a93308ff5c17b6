"""Buffers of what windows have stored."""

from __future__ import annotations

from netdsl.ir.network import Kind, Place, Type
from netdsl.ir.program import Key
from netdsl.passes.lower.context import Context

SLOTS = "slots:"  # the tag of what a window has stored of a variable


def stored_buffer(context: Context, path: str, window: str) -> str:
    """The buffer that has a variable's values for each slot of a window."""
    variable = context.variable(path)
    if variable.memory:
        return context.named[Key(path)]
    place = Place.SLOT if variable.place is Place.ROW else Place.SLOT_UNIT
    binary = variable.kind is Kind.SPIKE or variable.type is Type.BOOL
    return context.need(
        path,
        place,
        variable.owner,
        "state",
        f"stored in `{window}`",
        type=Type.BOOL if binary else Type.REAL,
        span=variable.span,
        tag=SLOTS + window,
        memory=window,
    )
