"""Reductions over one axis of a population, taken out of the loop over its neurons."""

from __future__ import annotations

from dataclasses import replace

from netdsl.ir.expr import Load
from netdsl.ir.network import Place
from netdsl.ir.program import AxisReduce, Elementwise, GroupReduce, Op, Program, Statement, Store
from netdsl.passes.program.rewrite import Buffers, by_kind


def cut(program: Program) -> Program:
    """`AxisReduce` statements become operations of their own, in order."""
    buffers = Buffers(program.buffers)
    changed = by_kind(program, Elementwise, lambda op: _cut(buffers, op))
    return replace(changed, buffers=buffers.known)


def _cut(buffers: Buffers, op: Elementwise) -> tuple[Op, ...]:
    ops: list[Op] = []
    before: list[Statement] = []
    for statement in op.statements:
        if not isinstance(statement, AxisReduce):
            before.append(statement)
            continue
        source = _source(buffers, op.population, statement, before)
        if before:
            ops.append(replace(op, statements=tuple(before), scalars=()))
        ops.append(_reduction(statement, source, op.newest))
        before = []
    if not ops:
        return (op,)
    if before:
        ops.append(replace(op, statements=tuple(before), scalars=()))
    return tuple(ops)


def _source(
    buffers: Buffers, population: str, statement: AxisReduce, before: list[Statement]
) -> str:
    """The UNIT buffer that holds what is reduced; stored by `before` where none does."""
    value = statement.value
    if isinstance(value, Load):
        held = buffers.known[value.buffer]
        if held.place is Place.UNIT and held.owner == population:
            return value.buffer
    # One buffer for all reductions of a population: each is read at once.
    name = buffers.need(
        population, Place.UNIT, population, "scratch", "reduced over an axis", tag="reduced"
    )
    before.append(Store(name, value, statement.span))
    return name


def _reduction(statement: AxisReduce, source: str, newest: bool) -> GroupReduce:
    return GroupReduce(
        statement.buffer,
        source,
        statement.kind,
        statement.length,
        statement.inner,
        newest,
        statement.span,
    )
