"""Rings on a device: one thread moves the head and the pointers, then a kernel stores the value.

A matrix product of a library reads from an address that graphs keep, so the slots that it reads are
copied to places of their own after each push.
"""

from __future__ import annotations

from netdsl.codegen.c.emit import count_of
from netdsl.codegen.c.rings import aim, push, slot_text, view_line
from netdsl.codegen.cuda.plan import Action, flat_grid
from netdsl.codegen.cuda.writer import KernelWriter
from netdsl.codegen.plan.instructions import Aim, Pushed
from netdsl.ir.network import Place


def pushed(op: Pushed, writer: KernelWriter) -> tuple[Action, ...]:
    """A push: the head moves, the source is stored, the slots read by products are copied."""
    layout = writer.layout
    code = push(op, layout, count_of(op.push.source, layout))
    ring = f"net->{code.ring}"
    lines = []
    if not code.all:
        lines.append(
            f"net->{code.head} = (net->{code.head} ? net->{code.head} : {code.slots}) - 1;"
        )
    is_global = layout.program.buffers[op.push.target].place is Place.GLOBAL
    if is_global and code.all:
        lines.append(f"for (int64_t k = 0; k < {code.slots}; ++k) {ring}[k] = *({code.source});")
    elif is_global:
        lines.append(f"{ring}[net->{code.head}] = *({code.source});")
    lines += [view_line(name, layout) for name in op.views if name not in layout.staged]
    actions = [writer.globals(f"push {op.title}", lines, op.push.span)] if lines else []
    if not is_global:
        grid = flat_grid(*layout.extent(op.push.source))
        actions.append(Action(writer.kernel("push", op.push, grid, code=code)))
    staged = [name for name in op.views if name in layout.staged]
    return (*actions, *(_stage(op, [], slot_text(n, layout), writer, n) for n in staged))


def aimed(op: Aim, writer: KernelWriter) -> tuple[Action, ...]:
    """A view pointed to a slot found as the program runs, or a copy of that slot."""
    layout = writer.layout
    head, slot = aim(op, layout)
    if op.view in layout.staged:
        return (_stage(op, head, slot, writer),)
    return (writer.globals(f"aim {op.title}", [*head, view_line(op.view, layout, slot)]),)


def _stage(
    op: Pushed | Aim, head: list[str], slot: str, writer: KernelWriter, view: str = ""
) -> Action:
    """Copy the slot of a view to the place that products read."""
    layout = writer.layout
    name = op.view if isinstance(op, Aim) else view
    count, target = count_of(name, layout), layout.names(name)
    packed = layout.program.buffers[layout.views[name].ring].packed
    width = layout.width(name) if packed else 0
    code = {"target": target, "source": slot, "count": count, "head": head, "width": width}
    return Action(writer.kernel("stage", op, flat_grid(*layout.extent(name)), code=code))
