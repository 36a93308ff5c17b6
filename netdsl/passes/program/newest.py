"""What is read of the newest row alone is computed for that row alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from netdsl.ir.expr import Load, walk
from netdsl.ir.program import Op, Program
from netdsl.ir.roles import Node, expressions, named, parts
from netdsl.ir.space import ROW
from netdsl.passes.program.rewrite import by_op

_PASSING = ("scratch", "modulator")


def newest(program: Program) -> Program:
    """Operations of whose results only the newest row is read leave the other rows out."""
    ops = [op for routine in program.routines.values() for op in routine.ops]
    if not any(_asks(op) for op in ops):
        return program
    last = {
        name
        for name, held in program.buffers.items()
        if held.role in _PASSING and not held.kept and held.slots == 1 and ROW in held.space
    }
    while True:
        whole = set().union(*(_whole(op, _fits(op, last)) for op in ops))
        if not whole & last:
            break
        last -= whole
    return by_op(program, lambda op: (replace(op, newest=True) if _fits(op, last) else op,))  # type: ignore[arg-type]


def _asks(op: Op) -> bool:
    """Does it read a newest row?"""
    loads = any(node.side == "newest" for node in _loads(op))
    return loads or any(_alone(part) for part in parts(op))


def _alone(node: Node) -> bool:
    return getattr(node, "newest", False)


def _fits(op: Op, last: set[str]) -> bool:
    """Can it be done for the newest row alone?"""
    able = hasattr(op, "newest") and op.writes <= last
    return able and not any(part.draws for part in parts(op))


def _whole(op: Op, alone: bool) -> set[str]:
    """Buffers of which it reads more than the newest row; `alone`: it is done for that row."""
    sides = ("own", "newest") if alone else ("newest",)
    found = {node.buffer for node in _loads(op) if node.side not in sides}
    for part in parts(op):
        if not _alone(part) and not (alone and part is op):
            found.update(named(part))
    return found


def _loads(op: Op) -> Iterator[Load]:
    for expr in expressions(op):
        yield from (node for node in walk(expr) if isinstance(node, Load))
