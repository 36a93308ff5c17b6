"""Stores to scratch values that nobody reads are dropped."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from netdsl.ir.program import Buffer, Op, Program
from netdsl.passes.program.rewrite import PARTS, by_place

_DROPPABLE = {"scratch", "modulator", "accumulator"}
_RESETS = ("reset", "start")


def live(program: Program) -> Program:
    """The program without stores that neither an operation nor the host reads.

    A list of operations is looked at alone: what any other list reads is kept, but for what that
    list itself stores first. Resets of what is stored at all stay: it can be looked at after one.
    """
    kept = {buffer.name for buffer in program.buffers.values() if buffer.kept}
    reads = {
        (routine.name, part): _wanted(program.buffers, getattr(routine, part))
        for routine in program.routines.values()
        for part in PARTS
    }

    def outside(place: tuple[str, str]) -> set[str]:
        return kept.union(*(found for key, found in reads.items() if key != place))

    def visit(place: tuple[str, str], ops: tuple[Op, ...]) -> tuple[Op, ...]:
        resets = program.routines[place[0]].kind in _RESETS
        return ops if resets else _live(program.buffers, ops, outside(place))

    pruned = by_place(program, visit)
    others = [r for r in pruned.routines.values() if r.kind not in _RESETS]
    stored = {name for routine in others for op in routine.ops for name in op.writes}

    def again(place: tuple[str, str], ops: tuple[Op, ...]) -> tuple[Op, ...]:
        resets = program.routines[place[0]].kind in _RESETS
        return _live(program.buffers, ops, outside(place) | stored) if resets else ops

    return by_place(pruned, again)


def _wanted(buffers: Mapping[str, Buffer], ops: tuple[Op, ...]) -> set[str]:
    """What a list of operations reads that it has not stored itself before."""
    stored: set[str] = set()
    found: set[str] = set()
    for op in ops:
        access = {name: op.first_access(name, buffers[name].owner) for name in op.reads | op.writes}
        found |= {name for name in op.reads - stored if access[name] != "overwrites"}
        stored |= {name for name in op.writes if access[name] == "overwrites"}
    return found


def _live(buffers: Mapping[str, Buffer], ops: tuple[Op, ...], outside: set[str]) -> tuple[Op, ...]:
    while True:
        needed = outside.union(*(op.reads for op in ops))
        kept = tuple(o for o in (_pruned(buffers, op, needed) for op in ops) if o is not None)
        if kept == ops:
            return ops
        ops = kept


def _dead(buffers: Mapping[str, Buffer], written: Iterable[str], needed: set[str]) -> bool:
    return all(name not in needed and buffers[name].role in _DROPPABLE for name in written)


def _pruned(buffers: Mapping[str, Buffer], op: Op, needed: set[str]) -> Op | None:
    if _dead(buffers, op.writes, needed):
        return None
    return op.without(lambda s: bool(s.writes) and _dead(buffers, s.writes, needed))
