"""Rings as C: a base pointer, the slot of the newest value, and a pointer for each slot read.

A push moves the head and all pointers, so that what reads a slot is code like any other. Numbers
are held by the struct itself, hence their views are copies. Shared with the CUDA backend.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from netdsl.codegen.c.scope import Scope
from netdsl.codegen.plan.instructions import Aim, Pushed
from netdsl.codegen.plan.layout import Layout
from netdsl.ir.algebra.fold import simplify
from netdsl.ir.expr import Expr
from netdsl.ir.network import Place


@dataclass
class PushCode:
    """What `templates/c/push.c.j2` needs; `views` are the lines that move them."""

    ring: str
    head: str
    step: str
    slots: int
    source: str
    count: str
    ctype: str
    all: bool
    width: int  # of a row that is packed, else 0
    views: list[str] = field(default_factory=list)


def push(op: Pushed, layout: Layout, count: str) -> PushCode:
    """Code of one push; `count`: elements of the present rows."""
    ring, source = op.push.target, layout.names(op.push.source)
    use, buffer = layout.rings[ring], layout.program.buffers[ring]
    is_global = buffer.place is Place.GLOBAL
    return PushCode(
        layout.names(ring),
        use.head,
        use.step,
        buffer.slots,
        f"&net->{source}" if is_global else f"net->{source}",
        count,
        layout.ctype(ring),
        op.push.all,
        layout.width(ring) if buffer.packed else 0,
        [view_line(name, layout) for name in op.views],
    )


def aim(op: Aim, layout: Layout) -> tuple[list[str], str]:
    """The lines that find the slot of a view as the program runs, and the slot's address."""
    scope = Scope(layout, {})
    back = scope.double(simplify(op.ago))
    slots = layout.program.buffers[op.ring].slots
    found = f"const int64_t ago = ((int64_t)({back}) % {slots} + {slots}) % {slots};"
    return [*scope.lines, found], slot_text(op.view, layout, "ago")


def view_line(name: str, layout: Layout, slot: str = "") -> str:
    """The line that points a view to its slot, which may move."""
    slot = slot or slot_text(name, layout)
    if layout.program.buffers[layout.views[name].ring].packed:
        return f"unpack({slot}, net->rows, {layout.width(name)}, net->{layout.names(name)});"
    star = "*" if layout.program.buffers[name].place is Place.GLOBAL else ""
    return f"net->{layout.names(name)} = {star}({slot});"


def slot_text(name: str, layout: Layout, back: str = "") -> str:
    """The address of the slot that a view shows."""
    view = layout.views[name]
    use, slots = layout.rings[view.ring], layout.program.buffers[view.ring].slots
    if not isinstance(view.ago, Expr):
        back = str(view.ago)
    turned = f"(net->{use.head} + {back}) % {slots}"
    return f"net->{layout.names(view.ring)} + {turned} * net->{use.step}"
