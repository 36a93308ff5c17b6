"""What every program keeps to, whatever pass wrote it: names, shapes and the order of definitions.

A pass that breaks one of these makes a backend read a wrong element or none at all; here that is
found right behind the pass. Run after each pass in tests and wherever `NETDSL_CHECK` is 1.
"""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.ir.expr import Apply, Expr, Index, Load, Local, Reduce, Ref, loads, walk
from netdsl.ir.fit import misfits
from netdsl.ir.functions import FUNCTIONS
from netdsl.ir.network import Place, Type
from netdsl.ir.places import edges_of
from netdsl.ir.program import (
    Buffer,
    Edges,
    GroupReduce,
    Op,
    Program,
    Push,
    Routine,
)
from netdsl.ir.rings import slots_read
from netdsl.ir.roles import Node, Role, expressions, fields, parts
from netdsl.ir.space import EDGE, NEURON, ROW_KINDS
from netdsl.ir.text import node_lines
from netdsl.ir.windows import Windows


class BrokenProgram(AssertionError):
    """A program that no backend may be given; the message says where and why."""


def verify(program: Program) -> None:
    """Raise BrokenProgram where a program breaks a promise."""
    found = list(faults(program))
    if found:
        raise BrokenProgram("\n".join(found[:20]))


def faults(program: Program) -> Iterator[str]:
    """Every broken promise, a line each."""
    found = [fault for buffer in program.buffers.values() for fault in _buffer(program, buffer)]
    for routine in program.routines.values():
        for op in routine.ops:
            faulty = _Operation(program, op).faults()
            found += (f"{routine.name}: {node_lines(op)[0]}: {fault}" for fault in faulty)
        found += _steps(routine)
        found += _parts(program, routine)
    yield from found
    if not found:  # shapes are looked up by name
        for misfit in misfits(program):
            yield f"{misfit.where}: `{misfit.buffer}` has not the shape that is wanted"


def unmade(program: Program) -> Iterator[str]:
    """Passing results that operations read and none makes; a line each.

    Of programs that networks became: one written by hand may be given such values.
    """
    ops = [op for routine in program.routines.values() for op in routine.ops]
    made = frozenset[str]().union(*(op.writes for op in ops))
    for name in sorted(frozenset[str]().union(*(op.reads for op in ops)) - made):
        buffer = program.buffers.get(name)
        if buffer is not None and buffer.role == "scratch":
            yield f"`{name}` is read, and nothing makes it"


def _buffer(program: Program, buffer: Buffer) -> Iterator[str]:
    owners: dict[Place, frozenset[str]] = {
        Place.NEURON: frozenset(program.sizes),
        Place.UNIT: frozenset(program.sizes),
        Place.SYNAPSE: frozenset(program.shapes),
        Place.ROW_SYNAPSE: frozenset(program.shapes),
        Place.SLOT_UNIT: frozenset(program.sizes),
    }
    if buffer.place in owners and buffer.owner not in owners[buffer.place]:
        yield f"buffer {buffer.name}: `{buffer.owner}` owns no {buffer.place.value} values"
    slots = {axis.owner for axis in buffer.space if axis.kind in ROW_KINDS} - {""}
    slotted = buffer.place in (Place.SLOT, Place.SLOT_UNIT, Place.SLOT_PAIR, Place.ROW_SLOT)
    if slots - set(program.memories) or slotted != bool(slots) or bool(buffer.memory) != slotted:
        yield f"buffer {buffer.name}: `{buffer.memory}` is no memory of {buffer.place.value} values"
    elif slotted and buffer.slots > 1:
        yield f"buffer {buffer.name}: a ring of slots of a memory"


def _steps(routine: Routine) -> Iterator[str]:
    steps = routine.runs or (routine.kind == "update" and routine.steps > 0)
    if not steps and (routine.step or routine.after):
        yield f"{routine.name}: only phases have steps, and updates that go back through one"


def _parts(program: Program, routine: Routine) -> Iterator[str]:
    """What is run again in chunks."""
    many = {"phase": 1, "update": 4}.get(routine.kind, 0) if routine.chunk else 0
    if len(routine.parts) != many or (routine.chunk and routine.ahead >= routine.chunk):
        yield f"{routine.name}: no chunks of {routine.chunk} steps with parts {routine.parts}"
    for name in routine.parts:
        part = program.routines.get(name)
        if part is None or part.kind != "part":
            yield f"{routine.name}: `{name}` is no part"


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
            yield from self._rows()
            yield from self._indices()
            yield from self._groups()

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
            if node.ends_loop:
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
        back += [found for part in parts(self.op) for found in slots_read(part)]
        for name, ago in back:
            slots = self.program.buffers[name].slots
            if not 0 <= ago < slots:
                yield f"`{name}` has {slots} slots, and one {ago} pushes ago is read"
        yield from self._rings()

    def _rings(self) -> Iterator[str]:
        """Rings are written by `Push`, and what reads them says which slot."""
        buffers = self.program.buffers
        rings = {name for name in self.op.reads | self.op.writes if buffers[name].slots > 1}
        for name in sorted(self.op.writes):
            held = buffers[name]
            bools = held.type is Type.BOOL and held.place is Place.UNIT
            if held.packed and not (bools and name in rings):
                yield f"`{name}` is packed, and no ring of a bool for each neuron"
        if isinstance(self.op, Push):
            if self.op.target not in rings:
                yield f"`{self.op.target}` is pushed into and has no slots"
            if self.op.source in rings:
                yield f"`{self.op.source}` is pushed whole and has slots"
            return
        said = {name for part in parts(self.op) for name, _ in slots_read(part)}
        said |= {name for expr in expressions(self.op) for name in loads(expr)}
        for name in sorted(rings & self.op.writes):
            yield f"`{name}` has slots and is not pushed into"
        for name in sorted(rings - said - self.op.writes):
            yield f"`{name}` has slots and is read whole"
        for name in rings:
            if edges_of(name, self.program) is not None:
                yield f"`{name}` has slots, and a number for each synapse that exists"
            if buffers[name].place is Place.PAIR:
                yield f"`{name}` has slots, and a number for each two rows"

    def _rows(self) -> Iterator[str]:
        """What is read of other rows does not change meanwhile; matrices alone learn of one row."""
        layout = self.program.layouts.get(getattr(self.op, "projection", ""))
        whole = isinstance(layout, Edges) or (isinstance(layout, Windows) and layout.depthwise)
        if whole and any(getattr(part, "newest", False) for part in parts(self.op)):
            yield "a product of the newest row is neither of listed synapses nor by channels"
        for expr in expressions(self.op):
            for node in walk(expr):
                if not isinstance(node, Load) or node.side not in ("other", "newest"):
                    continue
                if node.buffer in self.op.writes:
                    yield f"`{node.buffer}` changes while it is read of another row"
                held = self.program.buffers.get(node.buffer)
                rows = [a for a in held.space if a.kind in ROW_KINDS] if held is not None else []
                if node.side == "newest" and len(rows) > 1:
                    yield f"`{node.buffer}` has a number for each two rows: the newest of which?"

    # -- indices ------------------------------------------------------------------------------

    def _indices(self) -> Iterator[str]:
        """Cells have one index, synapses two."""
        known = self._sides()
        for expr in expressions(self.op):
            for node in walk(expr):
                if isinstance(node, Index) and node.side not in known:
                    yield f"there is no {node.side} index here"

    def _sides(self) -> tuple[str, ...]:
        """Whose indices there are: those of the axes of its loops."""
        loops = self.op.loops(lambda name: self.program.buffers[name].space)
        kinds = {axis.kind for axis in loops}
        if EDGE in kinds:
            return ("pre", "post")
        return ("own",) if NEURON in kinds else ()

    def _groups(self) -> Iterator[str]:
        if isinstance(self.op, GroupReduce):
            size = self.program.sizes.get(self.program.buffers[self.op.target].owner, 0)
            if size % (self.op.length * self.op.inner):
                yield f"{size} neurons are no groups of {self.op.length}, {self.op.inner} apart"


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
