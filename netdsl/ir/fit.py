"""Whether every operation of a program stays within the buffers that it reads and writes.

Generated code indexes without asking: an operation over the neurons of one population may read a
number per neuron only of a population of that size, one over synapses only of synapses of that
shape. Lowering refuses a program that does not fit.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from netdsl.diagnostics.span import Span
from netdsl.ir.expr import Expr, Load, walk
from netdsl.ir.network import Place
from netdsl.ir.program import (
    AxisReduce,
    Bind,
    Buffer,
    Copy,
    DrawStore,
    Elementwise,
    GroupReduce,
    Op,
    Product,
    Program,
    Propagate,
    Push,
    RowReduce,
    Statement,
    SynapseUpdate,
    Transpose,
    WindowSum,
)

Space = tuple[str, object]  # what is indexed, and how far: ("neurons", 10), ("synapses", …)
_ONE: frozenset[Space] = frozenset()
_ROW: Space = ("rows", None)


@dataclass(frozen=True)
class Misfit:
    """A buffer that an operation would index beyond its end."""

    buffer: str
    where: str
    span: Span | None


def misfits(program: Program) -> Iterator[Misfit]:
    """Every buffer that does not fit the operation that reads or writes it."""
    for routine in program.routines.values():
        for op in (*routine.once, *routine.step, *routine.after):
            yield from _Fit(program, op).misfits()


class _Fit:
    """The spaces of one operation's loops against those of its buffers."""

    def __init__(self, program: Program, op: Op) -> None:
        self.program, self.op = program, op

    def misfits(self) -> Iterator[Misfit]:
        op = self.op
        if isinstance(op, Elementwise):
            yield from self._cells(op)
        elif isinstance(op, Propagate):
            yield from self._propagate(op)
        elif isinstance(op, SynapseUpdate):
            yield from self._synapses(op)
        elif isinstance(op, WindowSum):
            yield from self._windows(op)
        elif isinstance(op, GroupReduce):
            size = self.program.sizes[self._buffer(op.source).owner]
            for name in (op.target, op.source):
                yield from self._equal(name, {_ROW, ("neurons", size)}, op.span)
        elif isinstance(op, Copy | Push):
            yield from self._equal(op.source, self._space(op.target), op.span)
        elif isinstance(op, Transpose):
            yield from self._turned(op)

    # -- spaces -------------------------------------------------------------------------------

    def _buffer(self, name: str) -> Buffer:
        return self.program.buffers[name]

    def _space(self, name: str) -> frozenset[Space]:
        """What a buffer has one number for each of."""
        held, program = self._buffer(name), self.program
        if held.place is Place.GLOBAL:
            return _ONE
        if held.place is Place.ROW:
            return frozenset({_ROW})
        if held.place is Place.SYNAPSE:
            return frozenset({self._synaptic(held.owner)})
        neurons: Space = ("neurons", program.sizes[held.owner])
        return frozenset({neurons} if held.place is Place.NEURON else {_ROW, neurons})

    def _synaptic(self, projection: str) -> Space:
        """Synapses: a matrix of this shape, or a list of those of one projection."""
        layout = self.program.layouts.get(projection)
        shape = self.program.shapes[projection]
        return "synapses", shape if layout is None else (projection, shape)

    def _within(
        self, names: Iterable[str], space: Iterable[Space], span: Span | None
    ) -> Iterator[Misfit]:
        """Reads of at most these spaces."""
        allowed = frozenset(space)
        for name in names:
            if not self._space(name) <= allowed:
                yield self._misfit(name, span)

    def _equal(self, name: str, space: Iterable[Space], span: Span | None) -> Iterator[Misfit]:
        if self._space(name) != frozenset(space):
            yield self._misfit(name, span)

    def _misfit(self, name: str, span: Span | None) -> Misfit:
        where = getattr(self.op, "projection", "") or getattr(self.op, "population", "")
        return Misfit(name, where or type(self.op).__name__, span)

    # -- operations ---------------------------------------------------------------------------

    def _cells(self, op: Elementwise) -> Iterator[Misfit]:
        neurons: Space = ("neurons", self.program.sizes[op.population])
        yield from self._statements(op.scalars, _ONE)
        yield from self._statements(op.statements, {_ROW, neurons})

    def _statements(
        self, statements: Iterable[Statement], space: Iterable[Space]
    ) -> Iterator[Misfit]:
        for statement in statements:
            values = statement.args if isinstance(statement, DrawStore) else (statement.value,)
            for value in values:
                yield from self._reads(value, space, statement.span)
            if isinstance(statement, RowReduce):
                yield from self._equal(statement.buffer, {_ROW}, statement.span)
            elif isinstance(statement, AxisReduce):
                yield from self._equal(statement.buffer, space, statement.span)
            elif not isinstance(statement, Bind):
                yield from self._within((statement.buffer,), space, statement.span)

    def _reads(self, value: Expr, space: Iterable[Space], span: Span | None) -> Iterator[Misfit]:
        for node in walk(value):
            if isinstance(node, Load):
                yield from self._within((node.buffer,), space, node.span or span)
                if isinstance(node.ago, Expr):
                    yield from self._reads(node.ago, _ONE, node.span or span)

    def _propagate(self, op: Propagate) -> Iterator[Misfit]:
        if op.scale is not None:
            yield from self._reads(op.scale, _ONE, op.span)
        owner = self._buffer(op.weight).owner
        # A transpose delivers through the weights of another projection.
        held = owner if op.transposed and owner in self.program.shapes else op.projection
        if self._space(op.weight) != frozenset({self._synaptic(held)}):
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
        held = self._buffer(name)
        size = self.program.sizes.get(held.owner, 0)
        first, last = part or (0, size)
        if held.place is not Place.UNIT or not 0 <= first <= last <= size or last - first != length:
            yield self._misfit(name, span)

    def _ends(self, projection: str) -> tuple[int, int]:
        """Neurons that take part before and after the synapses of a projection."""
        windows = self.program.windows.get(projection)
        if windows is not None:
            return windows.pre_size, windows.post_size
        return self.program.shapes[projection]

    def _synapses(self, op: SynapseUpdate) -> Iterator[Misfit]:
        space = {self._synaptic(op.projection)}
        yield from self._statements((*op.before, *op.scalars), _ONE)
        yield from self._statements(op.statements, space)
        for product in (product for total in op.sums for product in total.products):
            yield from self._product(op, product, space)

    def _product(self, op: SynapseUpdate, product: Product, space: set[Space]) -> Iterator[Misfit]:
        m, n = self._ends(op.projection)
        if product.pre is not None:
            yield from self._part(product.pre, op.pre_slice, m, op.span)
        if product.post is not None:
            yield from self._part(product.post, op.post_slice, n, op.span)
        if product.coefficient is not None:
            yield from self._reads(product.coefficient, space, op.span)

    def _windows(self, op: WindowSum) -> Iterator[Misfit]:
        m, n = self._ends(op.projection)
        yield from self._part(op.pre, None, m, op.span)
        yield from self._part(op.post, None, n, op.span)
        yield from self._equal(op.target, {self._synaptic(op.projection)}, op.span)

    def _turned(self, op: Transpose) -> Iterator[Misfit]:
        shapes = [self.program.shapes[self._buffer(name).owner] for name in (op.target, op.source)]
        whole = all(self._buffer(n).place is Place.SYNAPSE for n in (op.target, op.source))
        if not whole or shapes[0] != shapes[1][::-1]:
            yield self._misfit(op.source, op.span)
