"""What surrounds the operations of a routine: index lists, column sums and exchanged buffers.

Lists of nonzeros and sums over rows are derived from a buffer; they are made just before their
first use and shared until the buffer is written. Those of buffers that no step writes are made
once, before the loop over steps. A copy whose source is overwritten before it is read again
becomes an exchange of pointers.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from netdsl.codegen.c_layout import Layout, Window
from netdsl.ir.expr import loads
from netdsl.ir.program import (
    Bind,
    Copy,
    DrawStore,
    Elementwise,
    Fill,
    Op,
    Propagate,
    Routine,
    RowReduce,
    SynapseUpdate,
    Transpose,
)


@dataclass(frozen=True)
class MakeList:
    """List the nonzeros of a window by row, or (`columns`) turn those into lists by column."""

    window: Window
    columns: bool = False


@dataclass(frozen=True)
class MakeSum:
    """Sum a window over rows; `listed`: its list is at hand."""

    window: Window
    listed: bool = False


@dataclass(frozen=True)
class Exchange:
    """`Copy` by exchanging the two buffers' memory."""

    copy: Copy


Instruction = Op | MakeList | MakeSum | Exchange
Derived = MakeList | MakeSum


@dataclass(frozen=True)
class RoutinePlan:
    """Instructions of a routine; `before_steps` is run at every call that has steps."""

    routine: Routine
    once: tuple[Instruction, ...]
    before_steps: tuple[Instruction, ...]
    step: tuple[Instruction, ...]
    after: tuple[Instruction, ...]


def plan_routine(routine: Routine, layout: Layout) -> RoutinePlan:
    """Add derived data to a routine's operations and exchange buffers where that is allowed."""
    written = {buffer for op in routine.step for buffer in writes(op)}
    wanted = dict.fromkeys(need for op in routine.step for need in derived(op, layout))
    constant = [need for need in wanted if need.window.buffer not in written]
    constant.sort(key=lambda need: isinstance(need, MakeSum))
    step = _derive(_exchange(routine.step, layout), layout, constant)
    return RoutinePlan(
        routine,
        _derive(routine.once, layout, ()),
        tuple(_emitted(need, constant) for need in constant),
        step,
        _derive(routine.after, layout, ()),
    )


def derived(op: Instruction, layout: Layout) -> tuple[Derived, ...]:
    """The lists and sums that an operation uses, in the order in which to make them."""
    if isinstance(op, Propagate) and op.binary and not op.transposed:
        window = layout.window(op.source, op.pre_slice)
        layout.list_of(window)
        return (MakeList(window),)
    if not isinstance(op, SynapseUpdate):
        return ()
    needs: list[Derived] = []
    for product in (product for total in op.sums for product in total.products):
        pre = None if product.pre is None else layout.window(product.pre, op.pre_slice)
        post = None if product.post is None else layout.window(product.post, op.post_slice)
        if pre is not None and post is not None:
            if product.binary_pre:
                layout.list_of(pre, columns=True)
                layout.list_of(post, values=True)
                needs += [MakeList(pre), MakeList(pre, columns=True), MakeList(post)]
        else:
            needs += [MakeSum(window) for window in (pre, post) if window is not None]
    # Sums last: they are taken from lists where there are any.
    needs.sort(key=lambda need: isinstance(need, MakeSum))
    return tuple(dict.fromkeys(needs))


def writes(op: Instruction) -> frozenset[str]:
    """Buffers whose content an operation changes."""
    if isinstance(op, Exchange):
        return frozenset({op.copy.target, op.copy.source})
    if isinstance(op, Propagate | Copy | Fill | Transpose):
        return frozenset({op.target})
    if isinstance(op, Elementwise):
        return frozenset(s.buffer for s in op.statements if not isinstance(s, Bind))
    if isinstance(op, SynapseUpdate):
        stores = (*op.before, *(s for s in op.statements if not isinstance(s, Bind)))
        return frozenset(store.buffer for store in stores)
    return frozenset()


def _derive(
    ops: Sequence[Instruction], layout: Layout, given: Sequence[Derived]
) -> tuple[Instruction, ...]:
    valid: set[Derived] = set(given)
    out: list[Instruction] = []
    for op in ops:
        for need in derived(op, layout):
            if need not in valid:
                valid.add(need)
                out.append(_emitted(need, valid))
        out.append(op)
        changed = writes(op)
        valid = {need for need in valid if need.window.buffer not in changed}
    return tuple(out)


def _emitted(need: Derived, valid: Collection[Derived]) -> Derived:
    if isinstance(need, MakeSum):
        return MakeSum(need.window, MakeList(need.window) in valid)
    return need


def _exchange(ops: tuple[Op, ...], layout: Layout) -> tuple[Instruction, ...]:
    return tuple(
        Exchange(op)
        if isinstance(op, Copy) and _dead_after(op.source, ops[position + 1 :], layout)
        else op
        for position, op in enumerate(ops)
    )


def _dead_after(buffer: str, ops: Sequence[Op], layout: Layout) -> bool:
    """Whether all of `buffer` is overwritten by `ops` before anything reads it."""
    for op in ops:
        answer = _first_access(buffer, op, layout)
        if answer is not None:
            return answer == "overwrites"
    return False


def _first_access(buffer: str, op: Op, layout: Layout) -> str | None:
    if isinstance(op, Elementwise):
        return _first_in_cells(buffer, op, layout)
    if isinstance(op, Propagate):
        part = op.pre_slice if op.transposed else op.post_slice
        if op.source == buffer or op.weight == buffer:
            return "reads"
        if op.target == buffer:
            return "reads" if op.accumulate or part is not None else "overwrites"
        return None
    if isinstance(op, Copy | Transpose):
        if op.source == buffer:
            return "reads"
        return "overwrites" if op.target == buffer else None
    if isinstance(op, Fill):
        return "overwrites" if op.target == buffer else None
    return "reads" if buffer in _synapse_buffers(op) else None


def _first_in_cells(buffer: str, op: Elementwise, layout: Layout) -> str | None:
    whole = layout.program.buffers[buffer].owner == op.population
    for statement in op.statements:
        values = statement.args if isinstance(statement, DrawStore) else (statement.value,)
        if any(buffer in loads(value) for value in values):
            return "reads"
        if not isinstance(statement, Bind | RowReduce) and statement.buffer == buffer:
            return "overwrites" if whole else "reads"
    return None


def _synapse_buffers(op: SynapseUpdate) -> set[str]:
    found = set(writes(op))
    for statement in op.statements:
        found |= set(loads(statement.value))
    for product in (product for total in op.sums for product in total.products):
        found |= {name for name in (product.pre, product.post) if name is not None}
        if product.coefficient is not None:
            found |= set(loads(product.coefficient))
    return found
