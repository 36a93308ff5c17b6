"""What no step of a phase changes is computed once, before the first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from netdsl.ir.program import (
    Buffer,
    Each,
    Elementwise,
    GroupReduce,
    Op,
    Program,
    Reduction,
    Routine,
)

_PURE = (Each, Elementwise, GroupReduce, Reduction)
_PASSING = ("scratch", "modulator")
_CHANGING = ("counter", "sample", "control", "recording")  # from outside, between steps
_APART = ("phase", "reset", "start")  # kinds of routines that do not run in the midst of a phase


def hoist(program: Program) -> Program:
    """Operations of a phase that read nothing that its steps change are done before them."""
    taken = _written(
        op for r in program.routines.values() if r.kind not in _APART for op in r.ops
    ).union(buffer.name for buffer in program.buffers.values() if _fixed(buffer))
    routines = {
        name: _hoisted(program, routine, taken) if routine.kind == "phase" else routine
        for name, routine in program.routines.items()
    }
    return replace(program, routines=routines)


def _hoisted(program: Program, routine: Routine, taken: frozenset[str]) -> Routine:
    steps, once = list(routine.step), list(routine.once)
    taken |= _written(once)
    outside = frozenset(b.name for b in program.buffers.values() if b.role in _CHANGING)
    place = 0
    while place < len(steps):
        if _still(place, steps, outside, taken):
            once.append(steps.pop(place))
            place = 0  # what reads what it makes may follow
        else:
            place += 1
    return replace(routine, once=tuple(once), step=tuple(steps))


def _still(place: int, steps: list[Op], outside: frozenset[str], taken: frozenset[str]) -> bool:
    """Does it make the same of the same values at every step, and nobody else what it makes?"""
    op, others = steps[place], [*steps[:place], *steps[place + 1 :]]
    if not isinstance(op, _PURE) or op.writes & taken:
        return False
    statements = getattr(op, "statements", ())
    if any(statement.draws for statement in statements):
        return False
    early = frozenset[str]().union(*(other.reads for other in steps[:place]))
    changed = _written(others) | outside
    own = _read_of_itself(op)
    return not (op.reads & changed or op.writes & (changed | early) or own)


def _read_of_itself(op: Op) -> bool:
    """Does it read what it stores before that is stored?"""
    stored = frozenset[str]()
    for statement in getattr(op, "statements", ()):
        if statement.reads & (op.writes - stored):
            return True
        stored |= statement.writes
    return not hasattr(op, "statements") and bool(op.reads & op.writes)


def _written(ops: Iterable[Op]) -> frozenset[str]:
    return frozenset[str]().union(*(op.writes for op in ops))


def _fixed(buffer: Buffer) -> bool:
    """Is it more than a passing result, or looked at between steps?"""
    return buffer.role not in _PASSING or buffer.kept
