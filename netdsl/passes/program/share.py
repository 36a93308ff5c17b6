"""Scratch buffers whose lifetimes do not overlap become one.

A scratch buffer that every list of operations overwrites before it reads it lives from that store
to its last use there. Buffers of one shape and type take the first name that is free then, so that
a program needs as many as are alive at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace

from netdsl.ir.network import Place
from netdsl.ir.program import Buffer, Op, Program
from netdsl.ir.roles import renamed
from netdsl.passes.program.rewrite import PARTS, by_part


@dataclass(frozen=True)
class _Life:
    """First store and last use, as positions in one list of operations."""

    part: int
    first: int
    last: int

    def meets(self, other: _Life) -> bool:
        apart = self.last < other.first or other.last < self.first
        return self.part == other.part and not apart


def share(program: Program) -> Program:
    """The program with fewer scratch buffers; those that the host reads stay as they are.

    What a shared buffer is for is said in `Buffer.why`.
    """
    buffers = dict(program.buffers)
    keep = {buffer.name for buffer in buffers.values() if buffer.kept}
    parts = [getattr(r, part) for r in program.routines.values() for part in PARTS]
    names = _names(_lives(parts, buffers, keep), buffers)
    for name in {new for old, new in names.items() if old != new}:
        why = {buffers[old].why: None for old, new in names.items() if new == name}
        buffers[name] = replace(buffers[name], why="in turn: " + ", ".join(why))
    shared = by_part(program, lambda ops: _renamed(ops, names))
    return replace(shared, buffers=buffers)


def _lives(
    parts: Sequence[Sequence[Op]], buffers: Mapping[str, Buffer], keep: AbstractSet[str]
) -> dict[str, list[_Life]]:
    """Lives of the buffers that can be shared, in order of their first store."""
    lives: dict[str, list[_Life]] = {}
    fixed = set(keep)
    for number, part in enumerate(parts):
        uses: dict[str, list[int]] = {}
        for position, op in enumerate(part):
            for name in sorted(op.reads | op.writes):  # the same names in every process
                entry = buffers[name]
                if entry.role == "scratch" and entry.place is Place.UNIT:
                    uses.setdefault(name, []).append(position)
        for name, positions in uses.items():
            lives.setdefault(name, []).append(_Life(number, positions[0], positions[-1]))
            if part[positions[0]].first_access(name, buffers[name].owner) != "overwrites":
                fixed.add(name)
    return {name: found for name, found in lives.items() if name not in fixed}


def _names(lives: Mapping[str, Sequence[_Life]], buffers: Mapping[str, Buffer]) -> dict[str, str]:
    """Which buffer stands for which."""
    taken: dict[str, list[_Life]] = {}
    names: dict[str, str] = {}
    for name, found in lives.items():
        chosen = next((other for other in taken if _fits(name, found, other, taken, buffers)), name)
        taken.setdefault(chosen, []).extend(found)
        names[name] = chosen
    return names


def _fits(
    name: str,
    found: Sequence[_Life],
    other: str,
    taken: Mapping[str, Sequence[_Life]],
    buffers: Mapping[str, Buffer],
) -> bool:
    mine, theirs = buffers[name], buffers[other]
    alike = (mine.owner, mine.type, mine.slots) == (theirs.owner, theirs.type, theirs.slots)
    return alike and not any(life.meets(held) for life in found for held in taken[other])


def _renamed(ops: Sequence[Op], names: Mapping[str, str]) -> tuple[Op, ...]:
    if all(old == new for old, new in names.items()):
        return tuple(ops)
    return tuple(renamed(op, lambda name: names.get(name, name)) for op in ops)
