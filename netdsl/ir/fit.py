"""Whether every operation of a program stays within the buffers that it reads and writes.

Generated code indexes without asking. An operation's space is what its loops run over, and the
space of what it reads or stores must embed in it: axis by axis, neurons of equally large
populations and synapses of equal shape (or of one list) being as good as each other. Lowering
refuses a program that does not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from netdsl.diagnostics.span import Span
from netdsl.ir.expr import Expr, Load, walk
from netdsl.ir.program import (
    Buffer,
    Copy,
    Each,
    Elementwise,
    GroupReduce,
    Guarded,
    Op,
    Product,
    Program,
    Propagate,
    Push,
    Reduction,
    RowSum,
    Shift,
    Statement,
    SynapseUpdate,
    Transpose,
    WindowSum,
)
from netdsl.ir.space import (
    EDGE,
    NEURON,
    OTHER_KIND,
    ROW,
    ROW_KIND,
    ROW_KINDS,
    Axis,
    Space,
    edge,
    join,
    neuron,
    slot,
)

Extents = frozenset[object]  # what is indexed, and how far


@dataclass(frozen=True)
class Misfit:
    """A buffer that an operation would index beyond its end."""

    buffer: str
    where: str
    span: Span | None


def misfits(program: Program) -> Iterator[Misfit]:
    """Every buffer that does not fit the operation that reads or writes it."""
    known: dict[Space, Extents] = {}
    for routine in program.routines.values():
        for op in routine.ops:
            check = _CHECKS.get(type(op))
            if check is not None:
                yield from check(_Fit(program, op, known), op)


class _Fit:
    """The spaces of one operation's loops against those of its buffers."""

    def __init__(self, program: Program, op: Op, known: dict[Space, Extents]) -> None:
        self.program, self.op, self._known = program, op, known

    # -- spaces -------------------------------------------------------------------------------

    def _buffer(self, name: str) -> Buffer:
        return self.program.buffers[name]

    def _extent(self, axis: Axis) -> object:
        if axis.kind == NEURON:
            return NEURON, self.program.sizes[axis.owner]
        if axis.kind != EDGE:
            return axis
        shape = self.program.shapes[axis.owner]
        listed = axis.owner in self.program.layouts
        return EDGE, (axis.owner, shape) if listed else shape

    def _extents(self, space: Space) -> Extents:
        found = self._known.get(space)
        if found is None:
            found = self._known[space] = frozenset(self._extent(axis) for axis in space)
        return found

    def _seen(self, space: Space, side: str) -> Extents:
        """What a buffer may be indexed by that is read at one side of the loops' element."""
        if side == "own":
            return self._extents(space)
        if side == "other":
            others = {Axis(ROW_KIND, a.owner) for a in space if a.kind == OTHER_KIND}
            rest = {axis for axis in space if axis.kind not in ROW_KINDS}
            return self._extents((*others, *rest)) if others else frozenset()
        if side == "newest":
            apart = self.op.any_row and bool(space)
            last = {ROW, *map(slot, self.program.memories)}
            return self._extents(space) | last if apart else frozenset()
        ends = [axis.owner for axis in space if axis.kind == EDGE]
        if not ends:
            return frozenset()
        size = self._ends(ends[0])[side == "post"]
        return self._extents(tuple(a for a in space if a.kind != EDGE)) | {(NEURON, size)}

    def _within(self, name: str, allowed: Extents, span: Span | None) -> Iterator[Misfit]:
        if not self._extents(self._buffer(name).space) <= allowed:
            yield self._misfit(name, span)

    def _equal(self, name: str, space: Space, span: Span | None) -> Iterator[Misfit]:
        if self._extents(self._buffer(name).space) != self._extents(space):
            yield self._misfit(name, span)

    def _misfit(self, name: str, span: Span | None) -> Misfit:
        where = getattr(self.op, "projection", "") or getattr(self.op, "population", "")
        return Misfit(name, where or type(self.op).__name__, span)

    # -- operations ---------------------------------------------------------------------------

    def cells(self, op: Elementwise) -> Iterator[Misfit]:
        """Statements over a population, reductions to rows among them."""
        yield from self._reading(op.scalars, ())
        yield from self._reading(op.statements, op.space)
        for statement in op.statements:
            if statement.stores and statement.ends_loop:
                held = statement.held(op.space)
                yield from self._equal(statement.stores, held, statement.span)
            elif statement.stores:
                yield from self._within(statement.stores, self._extents(op.space), statement.span)

    def each(self, op: Each | Guarded) -> Iterator[Misfit]:
        """Statements over any space; stores may lack the row axis, nothing else."""
        yield from self._reading(op.scalars, ())
        yield from self._reading(op.statements, op.space)
        whole = self._extents(op.space)
        for name in (s.stores for s in op.statements if s.stores):
            held = self._extents(self._buffer(name).space)
            if held != whole and (not held or held != whole - {ROW}):
                yield self._misfit(name, op.span)

    def guarded(self, op: Guarded) -> Iterator[Misfit]:
        """The guard is read at its side."""
        yield from self.each(op)
        yield from self._within(op.buffer, self._seen(op.space, op.side), op.span)

    def reduction(self, op: Reduction) -> Iterator[Misfit]:
        """The target at its side of the loops, the value within them."""
        target = self._buffer(op.target).space
        kinds = {axis.kind: axis for axis in (*target, *op.over)}
        if any(kinds[axis.kind] != axis for axis in target):  # no loops have both
            yield self._misfit(op.target, op.span)
            return
        loops = join(target, op.over)
        yield from self._reads(op.value, loops, op.span)
        if set(op.over) & set(target) or not self._extents(target) <= self._seen(loops, op.side):
            yield self._misfit(op.target, op.span)

    def _reading(self, statements: Iterable[Statement], space: Space) -> Iterator[Misfit]:
        for statement in statements:
            for value in statement.values:
                yield from self._reads(value, space, statement.span)

    def _reads(self, value: Expr, space: Space, span: Span | None) -> Iterator[Misfit]:
        for node in walk(value):
            if isinstance(node, Load):
                allowed = self._seen(space, node.side)
                yield from self._within(node.buffer, allowed, node.span or span)
                if isinstance(node.ago, Expr):
                    yield from self._reads(node.ago, (), node.span or span)

    def propagate(self, op: Propagate) -> Iterator[Misfit]:
        """Weights of a projection's shape between parts of its populations."""
        if op.scale is not None:
            yield from self._reads(op.scale, (), op.span)
        owner = self._buffer(op.weight).owner
        # A transpose delivers through the weights of another projection.
        held = owner if op.transposed and owner in self.program.shapes else op.projection
        if self._extents(self._buffer(op.weight).space) != self._extents((edge(held),)):
            yield self._misfit(op.weight, op.span)
            return
        lengths = self._ends(op.projection if op.projection in self.program.windows else owner)
        ends = (op.target, op.source) if op.transposed else (op.source, op.target)
        parts = (op.pre_slice, op.post_slice)
        for name, part, length in zip(ends, parts, lengths, strict=True):
            yield from self._part(name, part, length, op.span)

    def _part(
        self, name: str, part: tuple[int, int] | None, length: int, span: Span | None
    ) -> Iterator[Misfit]:
        """A number per row and neuron of a population of which `length` neurons take part."""
        owner = self._buffer(name).owner
        size = self.program.sizes.get(owner, 0)
        first, last = part or (0, size)
        unit = self._buffer(name).space == (ROW, neuron(owner))
        if not unit or not 0 <= first <= last <= size or last - first != length:
            yield self._misfit(name, span)

    def _ends(self, projection: str) -> tuple[int, int]:
        """Neurons that take part before and after the synapses of a projection."""
        windows = self.program.windows.get(projection)
        if windows is not None:
            return windows.pre_size, windows.post_size
        return self.program.shapes[projection]

    def synapses(self, op: SynapseUpdate) -> Iterator[Misfit]:
        """Sums and statements over synapses."""
        space = (edge(op.projection),)
        yield from self._reading((*op.before, *op.scalars), ())
        yield from self._reading(op.statements, space)
        for name in (s.stores for s in op.statements if s.stores):
            yield from self._within(name, self._extents(space), op.span)
        for total in op.sums:
            for product in total.products:
                yield from self._product(op, product, space)
            for term in total.rows:
                yield from self._row_sum(op, term)

    def _row_sum(self, op: SynapseUpdate, term: RowSum) -> Iterator[Misfit]:
        yield from self._reads(term.value, (ROW, edge(op.projection)), op.span)

    def _product(self, op: SynapseUpdate, product: Product, space: Space) -> Iterator[Misfit]:
        m, n = self._ends(op.projection)
        if product.pre is not None:
            yield from self._part(product.pre, op.pre_slice, m, op.span)
        if product.post is not None:
            yield from self._part(product.post, op.post_slice, n, op.span)
        if product.coefficient is not None:
            yield from self._reads(product.coefficient, space, op.span)

    def windows(self, op: WindowSum) -> Iterator[Misfit]:
        """Both populations whole, and one kernel."""
        m, n = self._ends(op.projection)
        yield from self._part(op.pre, None, m, op.span)
        yield from self._part(op.post, None, n, op.span)
        yield from self._equal(op.target, (edge(op.projection),), op.span)

    def groups(self, op: GroupReduce) -> Iterator[Misfit]:
        """Two buffers of one population."""
        space = (ROW, neuron(self._buffer(op.source).owner))
        for name in (op.target, op.source):
            yield from self._equal(name, space, op.span)

    def whole(self, op: Copy | Push) -> Iterator[Misfit]:
        """Two buffers of one space."""
        yield from self._equal(op.source, self._buffer(op.target).space, op.span)

    def shifted(self, op: Shift) -> Iterator[Misfit]:
        """Slots of a memory, and the batch's rows in their place."""
        held = self._buffer(op.target).space
        rows = tuple(ROW if axis.kind == ROW_KIND else axis for axis in held)
        slots = [axis for axis in held if axis.kind == ROW_KIND and axis.owner]
        if not slots or any(axis.kind not in (ROW_KIND, NEURON) for axis in held):
            yield self._misfit(op.target, op.span)
        yield from self._equal(op.source, rows, op.span)

    def turned(self, op: Transpose) -> Iterator[Misfit]:
        """Two matrices, one as high as the other is wide."""
        buffers = [self._buffer(name) for name in (op.target, op.source)]
        shapes = [self.program.shapes.get(buffer.owner, ()) for buffer in buffers]
        whole = all(buffer.space == (edge(buffer.owner),) for buffer in buffers)
        if not whole or shapes[0] != shapes[1][::-1]:
            yield self._misfit(op.source, op.span)


_CHECKS: dict[type, Callable[[_Fit, Any], Iterator[Misfit]]] = {
    Elementwise: _Fit.cells,
    Each: _Fit.each,
    Guarded: _Fit.guarded,
    Reduction: _Fit.reduction,
    Propagate: _Fit.propagate,
    SynapseUpdate: _Fit.synapses,
    WindowSum: _Fit.windows,
    GroupReduce: _Fit.groups,
    Copy: _Fit.whole,
    Push: _Fit.whole,
    Shift: _Fit.shifted,
    Transpose: _Fit.turned,
}
