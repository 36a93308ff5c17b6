"""What passes over programs share: rewriting routines part by part, and adding buffers."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from netdsl.ir.expr import Expr
from netdsl.ir.network import Draw, Place
from netdsl.ir.program import Buffer, Key, Op, Program, Routine

Kind = TypeVar("Kind", bound=Op)
PARTS = ("once", "step", "after")


class Buffers:
    """The buffers of a program, and those that a pass adds."""

    def __init__(self, known: Mapping[str, Buffer]) -> None:
        self.known = dict(known)

    def need(
        self,
        name: str,
        place: Place,
        owner: str,
        role: str,
        why: str,
        init: Expr | Draw | None = None,
        *,
        tag: str = "",
    ) -> str:
        """Make sure that a buffer exists; returns its name.

        With a tag it is that value of what `name` names.
        """
        of = name if tag else ""
        if tag:
            found = (b.name for b in self.known.values() if b.key == Key(of, tag))
            name = next(found, None) or self._free(str(Key(of, tag)))
        if name not in self.known:
            self.known[name] = Buffer(name, place, owner, role, init=init, why=why, of=of, tag=tag)
        return name

    def _free(self, name: str) -> str:
        while name in self.known:
            name += "'"
        return name


def by_part(program: Program, visit: Callable[[tuple[Op, ...]], Iterable[Op]]) -> Program:
    """The program with each list of operations (once, step, after of each routine) rewritten."""

    return by_place(program, lambda place, ops: visit(ops))


def by_place(
    program: Program, visit: Callable[[tuple[str, str], tuple[Op, ...]], Iterable[Op]]
) -> Program:
    """As `by_part`; `visit` is told the routine and the part, too."""

    def rewritten(routine: Routine) -> Routine:
        once, step, after = (
            tuple(visit((routine.name, part), getattr(routine, part))) for part in PARTS
        )
        return replace(routine, once=once, step=step, after=after)

    routines = {name: rewritten(routine) for name, routine in program.routines.items()}
    return replace(program, routines=routines)


def by_op(program: Program, visit: Callable[[Op], Iterable[Op]]) -> Program:
    """The program with each operation replaced by some."""
    return by_part(program, lambda ops: (new for op in ops for new in visit(op)))


def by_kind(program: Program, kind: type[Kind], visit: Callable[[Kind], Iterable[Op]]) -> Program:
    """As `by_op`, of the operations of one kind; the others stay."""
    return by_op(program, lambda op: visit(op) if isinstance(op, kind) else (op,))
