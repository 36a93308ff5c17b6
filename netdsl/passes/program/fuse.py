"""Elementwise operations of one population become one loop over its neurons."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from netdsl.ir.program import Elementwise, Op, Program
from netdsl.passes.program.rewrite import by_part


def fuse(program: Program) -> Program:
    """Merge elementwise operations of one population where no operation between forbids it."""
    return by_part(program, fused)


def fused(ops: Iterable[Op]) -> tuple[Op, ...]:
    """A list of operations with as few elementwise ones as order allows."""
    result: list[Op] = []
    for op in ops:
        if not isinstance(op, Elementwise):
            result.append(op)
        elif op.statements and not _taken(result, op):
            result.append(_sunk(result, op))
    return tuple(result)


def _cells(ops: list[Op], like: Elementwise) -> Iterator[tuple[int, Elementwise]]:
    """Operations on the same cells with their places, the last first."""
    for index in range(len(ops) - 1, -1, -1):
        op = ops[index]
        if isinstance(op, Elementwise) and _same(op, like):
            yield index, op


def _taken(ops: list[Op], op: Elementwise) -> bool:
    """Whether the last earlier operation on its population could take `op` in, and has."""
    for index, earlier in _cells(ops, op):
        if not all(_commute(op, other) for other in ops[index + 1 :]):
            return False
        ops[index] = _joined(earlier, op)
        return True
    return False


def _same(one: Elementwise, other: Elementwise) -> bool:
    """Do they go over the same rows and neurons?"""
    return (one.population, one.newest) == (other.population, other.newest)


def _commute(one: Op, other: Op) -> bool:
    """Whether two operations may change places."""
    return not (other.writes & (one.reads | one.writes) or other.reads & one.writes)


def _sunk(ops: list[Op], op: Elementwise) -> Elementwise:
    """`op` with the last earlier operation on its population, where that can wait until here."""
    for index, earlier in _cells(ops, op):
        if not all(_commute(earlier, other) for other in ops[index + 1 :]):
            return op
        del ops[index]
        return _joined(earlier, op)
    return op


def _joined(first: Elementwise, second: Elementwise) -> Elementwise:
    label = first.label if second.label in ("", first.label) else f"{first.label}, {second.label}"
    statements = (*first.statements, *second.statements)
    return replace(first, statements=statements, scalars=(), label=label)
