"""What each operation becomes in C: a template of `templates/c` and what it is filled with.

`EMITTERS` has a line for each kind of instruction; a new operation is a line here and a template.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from netdsl.codegen.c.edges import edge_update
from netdsl.codegen.c.elementwise import elementwise
from netdsl.codegen.c.loops import by_pointer, each, reduction
from netdsl.codegen.c.rings import aim, push, view_line
from netdsl.codegen.c.synapses import gather, propagate, synapse_update
from netdsl.codegen.c.windows import propagate_windows, window_sum
from netdsl.codegen.plan.instructions import (
    Aim,
    Exchange,
    Gather,
    Instruction,
    ListedCells,
    MakeList,
    MakeSum,
    Pushed,
)
from netdsl.codegen.plan.layout import Layout
from netdsl.ir.places import slot_shape
from netdsl.ir.program import (
    Copy,
    Each,
    Elementwise,
    Fill,
    GroupReduce,
    Guarded,
    Propagate,
    Reduction,
    Shift,
    SynapseUpdate,
    Transpose,
    WindowSum,
)


@dataclass(frozen=True)
class Emitted:
    """A template by its name, and the code that fills it."""

    kind: str
    code: object


Emitter = Callable[[Any, Layout, int], Emitted]


def emit(instruction: Instruction, layout: Layout, number: int) -> Emitted:
    """The code of an instruction; `number`: of its statistics, as others count from it.

    Raises KeyError for a kind that the backend does not know.
    """
    return EMITTERS[type(instruction)](instruction, layout, number)


def count_of(buffer: str, layout: Layout) -> str:
    """C text of the number of elements of a buffer's present rows."""
    return " * ".join(layout.lengths(layout.program.buffers[buffer].space)) or "1"


def group_code(op: GroupReduce, layout: Layout) -> dict[str, object]:
    """What the templates of a reduction over groups need."""
    return {
        "target": layout.names(op.target),
        "source": layout.names(op.source),
        "size": layout.width(op.target),
        "kind": op.kind,
        "length": op.length,
        "inner": op.inner,
        "newest": op.newest,
    }


def shift_code(op: Shift, layout: Layout) -> dict[str, object]:
    """What the templates of new slots of a memory need."""
    slots, *rest = slot_shape(op.target, layout.program, 0)
    return {
        "target": layout.names(op.target),
        "source": layout.names(op.source),
        "ctype": layout.ctype(op.target),
        "source_type": layout.ctype(op.source),
        "slots": slots,
        "size": math.prod(rest),
    }


def derived_code(need: MakeList | MakeSum, layout: Layout) -> dict[str, object]:
    """What the templates of lists and of sums over rows need."""
    window, use = need.window, layout.lists.get(need.window)
    code: dict[str, object] = {
        "list": use.name if use else "",
        "with_values": use is not None and use.values,
        "source": layout.names(window.buffer),
        "stride": layout.width(window.buffer),
        "first": window.first,
        "last": window.last,
        "width": window.width,
    }
    return code


def _cells(op: Elementwise | ListedCells, layout: Layout, number: int) -> Emitted:
    return Emitted("elementwise", elementwise(op, layout))


def _propagate(op: Propagate, layout: Layout, number: int) -> Emitted:
    if op.projection in layout.program.windows:
        return Emitted("propagate_windows", propagate_windows(op, layout))
    kind = "propagate_edges" if layout.edges_of(op.weight) else "propagate"
    return Emitted(kind, propagate(op, layout))


def _gather(op: Gather, layout: Layout, number: int) -> Emitted:
    return Emitted("gather", gather(op, layout, number + 1))


def _synapses(op: SynapseUpdate, layout: Layout, number: int) -> Emitted:
    if op.projection in layout.edges:
        return Emitted("synapse_edges", edge_update(op, layout))
    return Emitted("synapse_update", synapse_update(op, layout))


def _windows(op: WindowSum, layout: Layout, number: int) -> Emitted:
    return Emitted("window_sum", window_sum(op, layout))


def _groups(op: GroupReduce, layout: Layout, number: int) -> Emitted:
    return Emitted("group_reduce", group_code(op, layout))


def _each(op: Each | Guarded, layout: Layout, number: int) -> Emitted:
    return Emitted("each", by_pointer(each(op, layout), op, layout))


def _reduction(op: Reduction, layout: Layout, number: int) -> Emitted:
    return Emitted("reduction", by_pointer(reduction(op, layout), op, layout))


def _fill(op: Fill, layout: Layout, number: int) -> Emitted:
    code = {
        "ctype": layout.ctype(op.target),
        "target": layout.names(op.target),
        "value": layout.literal(op.value, op.target),
        "count": count_of(op.target, layout),
    }
    return Emitted("set_global" if layout.is_global(op.target) else "fill", code)


def _copy(op: Copy, layout: Layout, number: int) -> Emitted:
    code = {
        "target": layout.names(op.target),
        "source": layout.names(op.source),
        "value": f"net->{layout.names(op.source)}",
        "count": count_of(op.target, layout),
    }
    return Emitted("set_global" if layout.is_global(op.target) else "copy", code)


def _transpose(op: Transpose, layout: Layout, number: int) -> Emitted:
    m, n = layout.program.shapes[layout.program.buffers[op.source].owner]
    names = layout.names
    code = {"target": names(op.target), "source": names(op.source), "m": m, "n": n}
    return Emitted("transpose", code)


def _exchange(need: Exchange, layout: Layout, number: int) -> Emitted:
    target, source = need.copy.target, need.copy.source
    code = {
        "target": layout.names(target),
        "source": layout.names(source),
        "lists": layout.pairs(target, source) if need.lists else [],
    }
    return Emitted("exchange", code)


def _pushed(op: Pushed, layout: Layout, number: int) -> Emitted:
    return Emitted("push", push(op, layout, count_of(op.push.source, layout)))


def _shift(op: Shift, layout: Layout, number: int) -> Emitted:
    return Emitted("shift", shift_code(op, layout))


def _aim(op: Aim, layout: Layout, number: int) -> Emitted:
    head, slot = aim(op, layout)
    return Emitted("aim", [*head, view_line(op.view, layout, slot)])


def _list(need: MakeList, layout: Layout, number: int) -> Emitted:
    return Emitted("make_list", {**derived_code(need, layout), "columns": need.columns})


def _sum(need: MakeSum, layout: Layout, number: int) -> Emitted:
    code = {**derived_code(need, layout), "sum": layout.sum_of(need.window)}
    return Emitted("make_sum", code if need.listed else {**code, "list": ""})


EMITTERS: dict[type, Emitter] = {
    Elementwise: _cells,
    ListedCells: _cells,
    Propagate: _propagate,
    Gather: _gather,
    SynapseUpdate: _synapses,
    WindowSum: _windows,
    GroupReduce: _groups,
    Each: _each,
    Guarded: _each,
    Reduction: _reduction,
    Copy: _copy,
    Fill: _fill,
    Transpose: _transpose,
    Exchange: _exchange,
    Pushed: _pushed,
    Shift: _shift,
    Aim: _aim,
    MakeList: _list,
    MakeSum: _sum,
}
