"""Rings, buffers of several slots, and the plain names under which their slots can be read.

A *view* is a name for one slot of a ring: what was pushed so many times ago. Lowering reads delay
lines through views until it knows how long they are; backends turn reads of slots into views again,
so that all that they know of buffers serves for slots, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from netdsl.ir.expr import Expr, Load, Local, transform
from netdsl.ir.program import Bind, Buffer, Op, Program, Routine
from netdsl.ir.roles import AnyNode, Node, Role, fields, mapped


@dataclass(frozen=True)
class View:
    """A slot of a ring: 0 is what was pushed last; an expression of GLOBAL values moves."""

    ring: str
    ago: int | Expr


def through(program: Program, views: Mapping[str, View]) -> Program:
    """The program with reads of views as reads of slots."""
    return _by_op(program, lambda op: seen_through(op, views)) if views else program


def seen_through(op: Op, views: Mapping[str, View]) -> Op:
    """An operation with reads of views as reads of slots."""

    def load(expr: Expr) -> Expr | None:
        if not isinstance(expr, Load) or expr.buffer not in views:
            return None
        view = views[expr.buffer]
        return replace(expr, buffer=view.ring, ago=view.ago)

    def slot(name: str, ago: int) -> tuple[str, Any]:
        view = views.get(name)
        return (name, ago) if view is None else (view.ring, view.ago)

    return _slots(mapped(op, lambda expr: transform(expr, load)), slot)


def with_views(program: Program) -> tuple[Program, dict[str, View]]:
    """The program with reads of slots as reads of buffers of their own, and what these show."""
    if not any(buffer.slots > 1 for buffer in program.buffers.values()):
        return program, {}
    made = _Views(program.buffers)
    changed = _by_op(program, made.visit)
    return replace(changed, buffers=made.buffers), made.views


class _Views:
    """The views of a program, one for each slot that is read."""

    def __init__(self, buffers: Mapping[str, Buffer]) -> None:
        self.buffers = dict(buffers)
        self.views: dict[str, View] = {}
        self._names: dict[View, str] = {}

    def visit(self, op: Op) -> Op:
        """The operation with views in place of slots."""
        binds = {bind.name: bind for bind in getattr(op, "scalars", ())}
        seen = mapped(op, lambda expr: self._expression(expr, binds))
        return _slots(seen, lambda name, ago: (self._name(name, ago), 0))

    def _expression(self, expr: Expr, binds: Mapping[str, Bind]) -> Expr:
        def load(node: Expr) -> Expr | None:
            if not isinstance(node, Load) or self.buffers[node.buffer].slots == 1:
                return None
            ago = node.ago if isinstance(node.ago, int) else _inlined(node.ago, binds)
            return replace(node, buffer=self._name(node.buffer, ago), ago=0)

        return transform(expr, load)

    def _name(self, buffer: str, ago: int | Expr) -> str:
        ring = self.buffers[buffer]
        if ring.slots == 1:
            return buffer
        view = View(buffer, ago)
        if view not in self._names:
            back = ago if isinstance(ago, int) else f"moving{len(self._names)}"
            name = f"{buffer} ago {back}"
            self._names[view], self.views[name] = name, view
            self.buffers[name] = replace(ring, name=name, slots=1, packed=False)
        return self._names[view]


def _inlined(expr: Expr, binds: Mapping[str, Bind]) -> Expr:
    """The expression without the names that an operation binds for its scalars."""

    def visit(node: Expr) -> Expr | None:
        if isinstance(node, Local) and node.name in binds:
            return _inlined(binds[node.name].value, binds)
        return None

    return transform(expr, visit)


def slots_read(node: Node) -> Iterator[tuple[str, int]]:
    """Buffers that a node itself reads at a slot, expressions aside, with how long ago."""
    for name, ago in type(node).slot_fields.items():
        if getattr(node, name) is not None:
            yield getattr(node, name), getattr(node, ago)


def _slots(node: AnyNode, visit: Callable[[str, int], tuple[str, Any]]) -> AnyNode:
    """The node, its parts included, with other buffers and slots in the fields that name both."""
    changed: dict[str, Any] = {}
    for name, role in fields(type(node)):
        held = getattr(node, name)
        if role is Role.NESTED and isinstance(held, tuple):
            new = tuple(_slots(part, visit) for part in held)
            if any(one is not other for one, other in zip(new, held, strict=True)):
                changed[name] = new
    for name, ago in type(node).slot_fields.items():
        old = (getattr(node, name), getattr(node, ago))
        if old[0] is not None and visit(*old) != old:
            changed[name], changed[ago] = visit(*old)
    return replace(node, **changed) if changed else node


def _by_op(program: Program, visit: Callable[[Op], Op]) -> Program:
    def rewritten(routine: Routine) -> Routine:
        parts = (routine.once, routine.step, routine.after)
        once, step, after = (tuple(map(visit, part)) for part in parts)
        return replace(routine, once=once, step=step, after=after)

    routines = {name: rewritten(routine) for name, routine in program.routines.items()}
    return replace(program, routines=routines)
