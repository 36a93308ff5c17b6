"""What expressions read, and which of some statements are needed for the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netdsl.ir.expr import Expr, Load, Local, walk
from netdsl.ir.program import Statement

Leaf = Load | Local


def leaves(value: Expr) -> list[Leaf]:
    """What an expression reads, without repeats."""
    found = (node for node in walk(value) if isinstance(node, Load | Local))
    return list(dict.fromkeys(found))


def used(statements: Iterable[Statement]) -> Iterator[Statement]:
    """The statements without names that nothing reads."""
    read: set[str] = set()
    kept: list[Statement] = []
    for statement in reversed(list(statements)):
        if statement.binds and statement.binds not in read:
            continue
        kept.append(statement)
        found = (leaf for value in statement.values for leaf in leaves(value))
        read |= {leaf.name for leaf in found if isinstance(leaf, Local)}
    return iter(kept[::-1])
