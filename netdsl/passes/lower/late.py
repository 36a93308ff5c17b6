"""What is computed at every step, though only the last step's value is ever read, comes behind the
steps: inputs and modulators that serve an `update` alone, and what they are made of."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import replace

from netdsl.ir.expr import Load, walk
from netdsl.ir.network import Place
from netdsl.ir.program import (
    AxisReduce,
    Bind,
    Buffer,
    Copy,
    Elementwise,
    Fill,
    Op,
    Program,
    Propagate,
    Routine,
    RowReduce,
    Statement,
    Store,
)
from netdsl.ir.roles import expressions, reads_of
from netdsl.passes.reverse.tape import runs

_MOVES = ("scratch", "input", "modulator")
_STATEMENTS = (Bind, Store, RowReduce, AxisReduce)


def late(program: Program, phases: Container[str]) -> Program:
    """The program with such operations in `after`, in routines that run a step at least."""
    routines = {
        name: _late(program, routine) if name in phases else routine
        for name, routine in program.routines.items()
    }
    return replace(program, routines=routines)


def _late(program: Program, routine: Routine) -> Routine:
    ops = tuple(runs(routine.step))
    chosen = {n for n, op in enumerate(ops) if _may(program.buffers, op)}
    while True:
        stays = {n for n in chosen if not _fits(program, ops, chosen, n)}
        if not stays:
            break
        chosen -= stays
    if not chosen:
        return routine
    moved = tuple(op for n, op in enumerate(ops) if n in chosen)
    step = tuple(op for n, op in enumerate(ops) if n not in chosen)
    return replace(routine, step=step, after=(*moved, *routine.after))


def _may(buffers: Mapping[str, Buffer], op: Op) -> bool:
    """Does an operation by itself depend on nothing but what buffers hold at the end of a step?"""
    if not isinstance(op, Elementwise | Propagate | Copy | Fill):
        return False
    if not all(isinstance(s, _STATEMENTS) for s in getattr(op, "statements", ())):
        return False
    held = [buffers[name] for name in op.writes]
    if any(b.kept or b.role not in _MOVES or b.slots > 1 for b in held) or not held:
        return False
    if any(buffers[b].slots > 1 or buffers[b].place is Place.GLOBAL for b in op.reads):
        return False  # a ring moves on, and so do counters
    loads = (node for expr in expressions(op) for node in walk(expr) if isinstance(node, Load))
    return all(load.ago == 0 for load in loads)


def _fits(program: Program, ops: tuple[Op, ...], chosen: set[int], number: int) -> bool:
    """May an operation move behind the steps along with the others that are chosen?"""
    op = ops[number]
    others = [(n, o) for n, o in enumerate(ops) if n not in chosen]
    rest = [o for _, o in others]
    if op.writes & reads_of(rest) or op.writes & _writes(rest):
        return False
    if op.reads & _writes(o for n, o in others if n > number):
        return False
    moved = [(n, ops[n]) for n in sorted(chosen)]
    for buffer in op.reads:
        first = next(((n, o) for n, o in moved if buffer in o.writes), None)
        if first is None:
            continue
        place, writer = first  # it may not read what the step before left
        if place >= number or not _overwrites(program.buffers[buffer], writer):
            return False
    return True


def _overwrites(buffer: Buffer, op: Op) -> bool:
    statements: tuple[Statement, ...] = getattr(op, "statements", ())
    if statements and statements[-1].stores == buffer.name:
        reduced = statements[-1].ends_loop  # to one number of all, or of a group
        if reduced and buffer.name not in op.reads:
            return True
    return op.first_access(buffer.name, buffer.owner) == "overwrites"


def _writes(ops: Iterable[Op]) -> frozenset[str]:
    return frozenset[str]().union(*(op.writes for op in ops))
