"""Buffers that need not go to memory as matrices while the steps of a routine run.

What an elementwise operation stores and lists, and what is otherwise read through that list, need
not go to memory as a matrix: a row is stored in a line that stays in cache, and its nonzeros are
listed from there. Where the matrix is wanted after all (a dense product, the end of the steps) it
is filled from the list. Spikes and modulated traces are mostly zeros, so this saves two passes over
a matrix each. What no other operation of a step reads is stored by its last step only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from netdsl.codegen.plan.derived import RoutinePlan
from netdsl.codegen.plan.instructions import (
    Exchange,
    Gather,
    Instruction,
    ListedCells,
    MakeList,
    MakeSum,
)
from netdsl.codegen.plan.layout import Layout, Window
from netdsl.ir.network import Place
from netdsl.ir.program import Propagate, SynapseUpdate


def keep_lists(plan: RoutinePlan, layout: Layout) -> RoutinePlan:
    """The same plan with `light` windows: those of its steps that need no matrix."""
    made = [
        (op, window) for op in plan.step if isinstance(op, ListedCells) for window in op.windows
    ]
    light = {
        window for op, window in made if _alone(window, layout) and _kept(op, window, plan, layout)
    }
    if not light:
        return plan
    step = tuple(_lighter(op, light) for op in plan.step)
    partners = {
        replace(window, buffer=name)
        for window in light
        for name in _names(window.buffer, plan.step)
    }
    ordered = tuple(sorted(partners, key=lambda window: window.buffer))
    return replace(plan, step=step, light=ordered)


def store_late(plan: RoutinePlan, layout: Layout) -> RoutinePlan:
    """The same plan; buffers that only their own operation uses are stored by the last step."""
    return replace(plan, step=tuple(_later(op, plan, layout) for op in plan.step))


def _later(op: Instruction, plan: RoutinePlan, layout: Layout) -> Instruction:
    made = ListedCells.of(op)
    if made is None:
        return op
    listed = {window.buffer for window in made.windows}
    elsewhere = {n for other in plan.step if other is not op for n in other.reads | other.writes}
    buffers = layout.program.buffers
    late = tuple(
        name
        for name in sorted(made.writes - listed - elsewhere)
        if buffers[name].place is Place.UNIT
        and made.cells.first_access(name, buffers[name].owner) == "overwrites"
    )
    return replace(made, late=late) if late else op


def _lighter(op: Instruction, light: set[Window]) -> Instruction:
    if not isinstance(op, ListedCells):
        return op
    return replace(op, light=tuple(window for window in op.windows if window in light))


def _alone(window: Window, layout: Layout) -> bool:
    """Whether the window is the whole buffer, and its only one."""
    windows = [other for other in layout.lists if other.buffer == window.buffer]
    return windows == [window] and window.width == layout.width(window.buffer)


def _kept(op: ListedCells, window: Window, plan: RoutinePlan, layout: Layout) -> bool:
    owner = layout.program.buffers[window.buffer].owner
    if op.cells.first_access(window.buffer, owner) != "overwrites":
        return False
    names = _names(window.buffer, plan.step)
    others = (other for other in plan.step if other is not op)
    stored_once = names & op.writes == {window.buffer}
    return stored_once and all(_through_lists(other, names, layout) for other in others)


def _names(buffer: str, step: Sequence[Instruction]) -> set[str]:
    """The buffer and those with which it changes places."""
    names = {buffer}
    for op in step:
        if isinstance(op, Exchange) and op.lists and names & op.writes:
            names |= op.writes
    return names


def _through_lists(op: Instruction, names: set[str], layout: Layout) -> bool:
    """Whether an instruction leaves the buffers alone or can read them from their lists."""
    if not names & (op.reads | op.writes):
        return True
    test = _TESTS.get(type(op))
    return test is not None and test(op, names, layout)


def _update_by_lists(op: SynapseUpdate, names: set[str], layout: Layout) -> bool:
    products = [product for total in op.sums for product in total.products]
    dense = {p.pre for p in products if not p.binary_pre and p.post is not None}
    by_synapse = op.projection in layout.edges  # needs no list of the postsynaptic factor
    dense |= {p.post for p in products if p.pre and (by_synapse or not p.binary_pre)}
    dense |= {name for p in products if p.newest for name in (p.pre, p.post)}
    return not names & dense


def _delivery_by_lists(op: Propagate, names: set[str], layout: Layout) -> bool:
    to_others = op.target not in names
    return bool(layout.edges_of(op.weight)) and to_others and op.binary and not op.transposed


_TESTS: dict[type, Callable[[Any, set[str], Layout], bool]] = {
    MakeList: lambda op, names, layout: op.columns,
    MakeSum: lambda op, names, layout: op.listed,
    Exchange: lambda op, names, layout: op.lists,
    Gather: lambda op, names, layout: not names & op.writes,
    SynapseUpdate: _update_by_lists,
    Propagate: _delivery_by_lists,
}
