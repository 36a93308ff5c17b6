"""Elementwise operations of one population become one loop over its neurons."""

from __future__ import annotations

from collections.abc import Iterable

from netdsl.ir.program import Elementwise, Op, Program
from netdsl.passes.program.rewrite import by_part


def fuse(program: Program) -> Program:
    """Merge elementwise operations of one population where no operation between forbids it."""
    return by_part(program, fused)


def fused(ops: Iterable[Op]) -> tuple[Op, ...]:
    """A list of operations with as few elementwise ones as order allows."""
    result: list[Op] = []
    for op in ops:
        if not isinstance(op, Elementwise) or not op.statements:
            if not isinstance(op, Elementwise):
                result.append(op)
            continue
        place = _partner(result, op)
        if place is None:
            result.append(_sunk(result, op))
        else:
            earlier = result[place]
            assert isinstance(earlier, Elementwise)
            result[place] = _joined(earlier, op)
    return tuple(result)


def _partner(ops: list[Op], op: Elementwise) -> int | None:
    """Index of an earlier operation on the same population that `op` can join."""
    for index in range(len(ops) - 1, -1, -1):
        other = ops[index]
        if isinstance(other, Elementwise) and other.population == op.population:
            return index
        if not _commute(op, other):
            return None
    return None


def _commute(one: Op, other: Op) -> bool:
    """Whether two operations may change places."""
    return not (other.writes & (one.reads | one.writes) or other.reads & one.writes)


def _sunk(ops: list[Op], op: Elementwise) -> Elementwise:
    """`op` with the last earlier operation on its population, where that can wait until here."""
    for index in range(len(ops) - 1, -1, -1):
        earlier = ops[index]
        if isinstance(earlier, Elementwise) and earlier.population == op.population:
            if not all(_commute(earlier, other) for other in ops[index + 1 :]):
                return op
            del ops[index]
            return _joined(earlier, op)
    return op


def _joined(first: Elementwise, second: Elementwise) -> Elementwise:
    label = first.label if second.label in ("", first.label) else f"{first.label}, {second.label}"
    return Elementwise(first.population, (*first.statements, *second.statements), (), label)
