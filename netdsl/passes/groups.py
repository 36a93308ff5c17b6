"""Reductions over one axis of a population, taken out of the loop over its neurons."""

from __future__ import annotations

from netdsl.ir.expr import Load
from netdsl.ir.network import Place
from netdsl.ir.program import AxisReduce, Elementwise, GroupReduce, Op, Statement, Store
from netdsl.passes.context import Context


def cut_at_groups(context: Context, op: Op) -> tuple[Op, ...]:
    """An operation with its `AxisReduce` statements as operations of their own, in order."""
    if not isinstance(op, Elementwise):
        return (op,)
    ops: list[Op] = []
    before: list[Statement] = []
    for statement in op.statements:
        if not isinstance(statement, AxisReduce):
            before.append(statement)
            continue
        source = _source(context, op.population, statement, before)
        if before:
            ops.append(Elementwise(op.population, tuple(before), (), op.label))
        ops.append(_reduction(statement, source))
        before = []
    if not ops:
        return (op,)
    if before:
        ops.append(Elementwise(op.population, tuple(before), (), op.label))
    return tuple(ops)


def _source(
    context: Context, population: str, statement: AxisReduce, before: list[Statement]
) -> str:
    """The UNIT buffer that holds what is reduced; stored by `before` where none does."""
    value = statement.value
    if isinstance(value, Load):
        held = context.buffers[value.buffer]
        if held.place is Place.UNIT and held.owner == population:
            return value.buffer
    # One buffer for all reductions of a population: each is read at once.
    name = context.need(
        f"{population}@reduced", Place.UNIT, population, "scratch", "reduced over an axis"
    )
    before.append(Store(name, value, statement.span))
    return name


def _reduction(statement: AxisReduce, source: str) -> GroupReduce:
    return GroupReduce(
        statement.buffer,
        source,
        statement.kind,
        statement.length,
        statement.inner,
        statement.span,
    )
