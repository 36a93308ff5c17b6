"""Long loops in parts, since what a C compiler takes for one grows with the square of its body.

Elements of a loop do not read each other, so it may end after any statement and another go on. What
a part binds and a later one reads is kept in a line of scratch; every operation stays as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from netdsl.codegen.c.rows import Level, LoopStatement, RowValue
from netdsl.ir.expr import Apply, Expr, Local, walk
from netdsl.ir.network import Place
from netdsl.ir.program import Bind
from netdsl.ir.roles import mapped

# Measured with GCC 12: 160 equations take 2 s in loops of this length, and 90 s in one loop.
STATEMENTS, OPERATIONS = 16, 120


@dataclass
class Part:
    """A loop and what goes before it: `taken` are names that earlier loops bound, `kept` those of
    its own that later ones read."""

    values: list[RowValue] = field(default_factory=list)
    statements: list[LoopStatement] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)


def in_parts(levels: Sequence[Level], place: Callable[[Expr], Place]) -> list[Part]:
    """The loops of some levels, none much longer than the limits."""
    parts: list[Part] = []
    for level in levels:
        parts.append(Part(level.values))
        room = OPERATIONS
        for statement in level.statements:
            for piece in _pieces(statement, place):
                size = sum(map(_size, piece.values))
                if parts[-1].statements and (
                    size > room or len(parts[-1].statements) == STATEMENTS
                ):
                    parts.append(Part())
                    room = OPERATIONS
                parts[-1].statements.append(piece)
                room -= size
    _carry(parts)
    return parts


def _carry(parts: Sequence[Part]) -> None:
    """Find the names that are bound in one loop and read in another."""
    home: dict[str, Part] = {}
    for part in parts:
        for statement in part.statements:
            for expr in statement.values:
                for name in dict.fromkeys(n.name for n in walk(expr) if isinstance(n, Local)):
                    owner = home.get(name, part)
                    if owner is not part and name not in part.taken:
                        part.taken.append(name)
                        owner.kept += [name] * (name not in owner.kept)
            if statement.binds:
                home[statement.binds] = part


def _size(expr: Expr) -> int:
    return sum(isinstance(node, Apply) for node in walk(expr))


def _pieces(statement: LoopStatement, place: Callable[[Expr], Place]) -> Iterator[LoopStatement]:
    """The statement, after names for parts of its expression if that is too long for one loop."""
    if all(_size(value) <= OPERATIONS for value in statement.values):
        yield statement
        return
    binds: list[Bind] = []
    owner = statement.binds or statement.stores

    def cut(expr: Expr) -> Expr:
        """The same with names instead of operands, as long as it has too many operations."""
        if not isinstance(expr, Apply) or place(expr) is Place.GLOBAL:
            return expr
        made = replace(expr, args=tuple(cut(arg) for arg in expr.args))
        while _size(made) > OPERATIONS:
            longest = max(made.args, key=_size)
            binds.append(Bind(f"{owner}#part{len(binds)}", longest, statement.span))
            name = Local(binds[-1].name)
            made = replace(made, args=tuple(name if a is longest else a for a in made.args))
        return made

    made = mapped(statement, cut)
    yield from binds
    yield made
