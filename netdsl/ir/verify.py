"""What every program keeps to, whatever pass wrote it: names, shapes and the order of definitions.

A pass that breaks one of these makes a backend read a wrong element or none at all; here that is
found right behind the pass. Run after each pass in tests and wherever `NETDSL_CHECK` is 1.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator

from netdsl.ir.expr import Apply, Expr, Index, Load, Local, Reduce, Ref, walk
from netdsl.ir.functions import FUNCTIONS
from netdsl.ir.network import Place
from netdsl.ir.program import (
    AxisReduce,
    Bind,
    Buffer,
    Copy,
    Elementwise,
    Fill,
    GroupReduce,
    Op,
    Product,
    Program,
    Propagate,
    Push,
    Routine,
    RowReduce,
    SynapseUpdate,
    Transpose,
    WindowSum,
)
from netdsl.ir.roles import Node, Role, expressions, fields, parts
from netdsl.ir.text import node_lines


class BrokenProgram(AssertionError):
    """A program that no backend may be given; the message says where and why."""


def checking() -> bool:
    """Are programs to be verified after each pass?"""
    return os.environ.get("NETDSL_CHECK") == "1"


def verify(program: Program) -> None:
    """Raise BrokenProgram where a program breaks a promise."""
    found = list(faults(program))
    if found:
        raise BrokenProgram("\n".join(found[:20]))


def faults(program: Program) -> Iterator[str]:
    """Every broken promise, a line each."""
    for buffer in program.buffers.values():
        yield from _buffer(program, buffer)
    for routine in program.routines.values():
        for op in (*routine.once, *routine.step, *routine.after):
            for fault in _Operation(program, op).faults():
                yield f"{routine.name}: {node_lines(op)[0]}: {fault}"
        yield from _steps(routine)


def _buffer(program: Program, buffer: Buffer) -> Iterator[str]:
    owners: dict[Place, frozenset[str]] = {
        Place.NEURON: frozenset(program.sizes),
        Place.UNIT: frozenset(program.sizes),
        Place.SYNAPSE: frozenset(program.shapes),
    }
    if buffer.place in owners and buffer.owner not in owners[buffer.place]:
        yield f"buffer {buffer.name}: `{buffer.owner}` owns no {buffer.place.value} values"


def _steps(routine: Routine) -> Iterator[str]:
    if routine.kind != "phase" and (routine.step or routine.after):
        yield f"{routine.name}: only phases have steps"


class _Operation:
    """The promises of one operation."""

    def __init__(self, program: Program, op: Op) -> None:
        self.program, self.op = program, op

    def faults(self) -> Iterator[str]:
        """Broken promises of the operation."""
        unknown = sorted((self.op.reads | self.op.writes) - set(self.program.buffers))
        for name in unknown:
            yield f"there is no buffer `{name}`"
        for expr in expressions(self.op):
            yield from _resolved(expr)
        if not unknown:
            yield from self._defined()
            yield from self._slots()
            yield from _SHAPES[type(self.op)](self)

    # -- order --------------------------------------------------------------------------------

    def _defined(self) -> Iterator[str]:
        """Bound names are read after they are bound, and not beyond a reduction."""
        known: set[str] = set()
        late: set[str] = set()
        for node in self._in_order():
            for expr in expressions(node):
                names = {part.name for part in walk(expr) if isinstance(part, Local)}
                for name in sorted(names - known - late):
                    yield f"%{name} is read before it is bound"
            for name in _bound(node):
                (late if node in getattr(self.op, "scalars", ()) else known).add(name)
            if isinstance(node, RowReduce | AxisReduce):
                known = set()

    def _in_order(self) -> Iterator[Node]:
        yield from getattr(self.op, "before", ())
        yield from getattr(self.op, "scalars", ())
        yield from getattr(self.op, "sums", ())
        yield from getattr(self.op, "statements", ())

    def _slots(self) -> Iterator[str]:
        """Earlier values are read only of rings, and only as far back as they go."""
        back = [
            (node.buffer, node.ago)
            for expr in expressions(self.op)
            for node in walk(expr)
            if isinstance(node, Load) and isinstance(node.ago, int)
        ]
        for part in parts(self.op):
            if isinstance(part, Propagate):
                back.append((part.source, part.ago))
            elif isinstance(part, Product):
                ends = ((part.pre, part.pre_ago), (part.post, part.post_ago))
                back += [(name, ago) for name, ago in ends if name is not None]
        for name, ago in back:
            slots = self.program.buffers[name].slots
            if not 0 <= ago < slots:
                yield f"`{name}` has {slots} slots, and one {ago} pushes ago is read"

    # -- shapes -------------------------------------------------------------------------------

    def _cells(self) -> Iterator[str]:
        op = self.op
        assert isinstance(op, Elementwise)
        if op.population not in self.program.sizes:
            yield f"there is no population `{op.population}`"
            return
        size, per_neuron = self.program.sizes[op.population], (Place.UNIT, Place.NEURON)
        for name in sorted(op.reads | op.writes):
            buffer = self.program.buffers[name]
            if buffer.place is Place.SYNAPSE:
                yield f"`{name}` has a number for each synapse"
            elif buffer.place in per_neuron and self.program.sizes[buffer.owner] != size:
                yield f"`{name}` is of `{buffer.owner}`, which has another size"
        for expr in expressions(op):
            if any(isinstance(node, Index) and node.side != "own" for node in walk(expr)):
                yield "cells have no pre or post index"
        for statement in op.statements:
            wanted = {RowReduce: Place.ROW, AxisReduce: Place.UNIT}.get(type(statement))
            for name in statement.writes if wanted else ():
                if self.program.buffers[name].place is not wanted:
                    yield f"`{name}` takes a reduction and is {self.program.buffers[name].place}"
        yield from self._scalars(op.scalars)

    def _scalars(self, binds: tuple[Bind, ...]) -> Iterator[str]:
        for bind in binds:
            for name in sorted(bind.reads):
                if self.program.buffers[name].place is not Place.GLOBAL:
                    yield f"%{bind.name} is a scalar and reads `{name}`"

    def _propagate(self) -> Iterator[str]:
        op = self.op
        assert isinstance(op, Propagate)
        owner = self.program.buffers[op.weight].owner  # a transpose delivers through another's
        if owner not in self.program.shapes:
            yield f"`{op.weight}` is no weight"
            return
        windows = self.program.windows.get(owner)
        m, n = self.program.shapes[owner]
        yield from self._like(op.weight, Place.SYNAPSE, (m, n))
        pre, post = (windows.pre_size, windows.post_size) if windows else (m, n)
        ends = [(op.source, pre, op.pre_slice), (op.target, post, op.post_slice)]
        if op.transposed:
            ends = [(op.target, pre, op.pre_slice), (op.source, post, op.post_slice)]
        for name, width, part in ends:
            yield from self._unit(name, width, part)
        if op.scale is not None:
            yield from self._scalars((Bind("scale", op.scale),))

    def _unit(self, name: str, width: int, part: tuple[int, int] | None) -> Iterator[str]:
        buffer = self.program.buffers[name]
        if buffer.place is not Place.UNIT:
            yield f"`{name}` has no number for each sample and neuron"
            return
        size = self.program.sizes[buffer.owner]
        first, last = part or (0, size)
        if last - first != width or not 0 <= first <= last <= size:
            yield f"`{name}` has {size} neurons ({first} to {last} used) where {width} are wanted"

    def _like(self, name: str, place: Place, shape: tuple[int, int]) -> Iterator[str]:
        buffer = self.program.buffers[name]
        if buffer.place is not place or self.program.shapes.get(buffer.owner) != shape:
            yield f"`{name}` is no {place.value} value of shape {shape}"

    def _synapses(self) -> Iterator[str]:
        op = self.op
        assert isinstance(op, SynapseUpdate)
        shape = self.program.shapes[op.projection]
        windows = self.program.windows.get(op.projection)
        sizes = (windows.pre_size, windows.post_size) if windows else shape
        for product in (part for part in parts(op) if isinstance(part, Product)):
            for name, width, part in (
                (product.pre, sizes[0], op.pre_slice),
                (product.post, sizes[1], op.post_slice),
            ):
                if name is not None:
                    yield from self._unit(name, width, part)
        for expr in expressions(op):
            for node in walk(expr):
                if isinstance(node, Load):
                    buffer = self.program.buffers[node.buffer]
                    if buffer.place is not Place.GLOBAL:
                        yield from self._like(node.buffer, Place.SYNAPSE, shape)
                elif isinstance(node, Index) and node.side == "own":
                    yield "a synapse has a pre and a post index"
        yield from self._scalars((*op.scalars, *(Bind(s.buffer, s.value) for s in op.before)))

    def _window_sum(self) -> Iterator[str]:
        op = self.op
        assert isinstance(op, WindowSum)
        windows = self.program.windows.get(op.projection)
        if windows is None:
            yield f"`{op.projection}` has no windows"
            return
        yield from self._unit(op.pre, windows.pre_size, None)
        yield from self._unit(op.post, windows.post_size, None)
        yield from self._like(op.target, Place.SYNAPSE, windows.shape)

    def _group(self) -> Iterator[str]:
        op = self.op
        assert isinstance(op, GroupReduce)
        size = self.program.sizes.get(self.program.buffers[op.target].owner, 0)
        for name in (op.source, op.target):
            yield from self._unit(name, size, None)
        if size % (op.length * op.inner):
            yield f"{size} neurons are no groups of {op.length}, {op.inner} apart"

    def _pair(self) -> Iterator[str]:
        op = self.op
        assert isinstance(op, Copy | Push | Transpose)
        target, source = self._shape(op.target), self._shape(op.source)
        turned = target[:1] + target[:0:-1] if isinstance(op, Transpose) else target
        if source != turned:
            yield f"shapes {target} and {source} differ"

    def _shape(self, name: str) -> tuple[object, ...]:
        buffer, program = self.program.buffers[name], self.program
        if buffer.place is Place.SYNAPSE:
            return (Place.SYNAPSE, *program.shapes[buffer.owner])
        return (buffer.place, program.sizes.get(buffer.owner, 0))

    def _anything(self) -> Iterator[str]:
        return iter(())


_SHAPES: dict[type[Op], Callable[[_Operation], Iterator[str]]] = {
    Elementwise: _Operation._cells,
    Propagate: _Operation._propagate,
    SynapseUpdate: _Operation._synapses,
    WindowSum: _Operation._window_sum,
    GroupReduce: _Operation._group,
    Copy: _Operation._pair,
    Push: _Operation._pair,
    Transpose: _Operation._pair,
    Fill: _Operation._anything,
}


def _bound(node: Node) -> Iterator[str]:
    for name, role in fields(type(node)):
        if role is Role.BOUND:
            yield getattr(node, name)


def _resolved(expr: Expr) -> Iterator[str]:
    """A program reads buffers and applies primitives: variables and reductions are resolved."""
    for node in walk(expr):
        if isinstance(node, Ref | Reduce):
            yield f"a {type(node).__name__} is left in an expression"
        elif isinstance(node, Apply):
            known = FUNCTIONS.get(node.function)
            if known is None or known.arity != len(node.args):
                yield f"`{node.function}` of {len(node.args)} arguments is no primitive"
