"""`push` into a window: what its variables are now becomes the newest slot."""

from __future__ import annotations

from netdsl.ir.expr import Load, Ref
from netdsl.ir.network import Place
from netdsl.ir.program import Elementwise, Op, Routine, Shift, Store
from netdsl.ir.protocol import Push
from netdsl.passes.lower.context import Context
from netdsl.passes.lower.settle import Settle
from netdsl.passes.lower.sites import Site
from netdsl.passes.lower.stored import stored_buffer


def push_routine(context: Context, site: Site, step: Push) -> Routine | None:
    """Present values, inputs and definitions settled, move in; a replay has no code."""
    memory = context.network.memories[step.memory]
    if memory.kind != "window":
        return None
    settle = Settle(context, frozenset(clamp.target for clamp in site.clamps))
    shifts: list[Op] = []
    for path in memory.variables:
        owner = context.variable(path).owner
        value = settle.value(owner, Ref(path, span=step.span))
        target = stored_buffer(context, path, memory.name)
        unit = context.buffers[target].place is Place.SLOT_UNIT
        place = Place.UNIT if unit else Place.ROW
        held = context.buffers.get(value.buffer) if isinstance(value, Load) else None
        if held is None or held.place is not place or held.owner != owner:
            source = context.scratch(f"{path}.pushed", place, owner, f"pushed into `{memory.name}`")
            store = Store(source, value, step.span)
            settle.ops.append(Elementwise(owner, (store,), label=f"push {memory.name}"))
        else:
            source = held.name
        shifts.append(Shift(target, source, step.span))
    return Routine(step.site, "set", (*settle.ops, *shifts), span=step.span)
