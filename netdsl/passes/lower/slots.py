"""What modulators read of other rows: kernels between slots, and reductions over them.

A value of one slot is held in a buffer, from which the operations behind it read that of any row:
so nothing is computed twice for a row, and a value that differs between two slots and from neuron
to neuron is never held. What differs between two slots alone has a number for each pair.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from netdsl.diagnostics.span import Span
from netdsl.ir.algebra.simplify import simplify
from netdsl.ir.expr import (
    NEWEST,
    SECOND,
    Apply,
    Custom,
    Expr,
    Index,
    Load,
    Local,
    Reduce,
    Ref,
    children,
    rebuild,
    span_of,
    transform,
    walk,
)
from netdsl.ir.network import Place
from netdsl.ir.program import Each, Op, Reduction, Statement, Store
from netdsl.ir.space import OTHER, ROW, neuron
from netdsl.passes.errors import LoweringError
from netdsl.passes.lower.context import Context

_PER_ROW = (Place.ROW, Place.UNIT)


def free(context: Context, expr: Expr, bound: frozenset[str] = frozenset()) -> Iterator[str]:
    """The slots that a value depends on: "" for the row itself."""
    if isinstance(expr, Ref) and context.variable(expr.path).place in (*_PER_ROW, Place.PAIR):
        yield from (slot for slot in expr.slot.split(",") if slot not in bound)
    if isinstance(expr, Reduce) and expr.over_slots is not None:
        bound |= {expr.over_slots[1]}
    for child in children(expr):
        yield from free(context, child, bound)


def at_own(expr: Expr, index: str) -> Expr:
    """A value of slot `index` as each row has it of itself."""

    def visit(node: Expr) -> Expr | None:
        if isinstance(node, Ref) and index in node.slot.split(","):
            parts = ["" if slot == index else slot for slot in node.slot.split(",")]
            return replace(node, slot=",".join(parts))
        again = isinstance(node, Reduce) and node.over_slots is not None
        return node if again and node.over_slots[1] == index else None  # type: ignore[attr-defined, union-attr]

    return transform(expr, visit)


@dataclass
class Slots:
    """Reads of other rows in one population's body.

    `resolve` turns values of this row into expressions over buffers, `emit` takes statements of the
    population's loop, and `apart` an operation that runs behind all that was emitted.
    """

    context: Context
    population: str
    resolve: Callable[[Expr], Expr]
    emit: Callable[[Statement], None]
    apart: Callable[[Op], None]
    held: dict[Expr, Expr] = field(default_factory=dict)  # values of this row in buffers
    newest: dict[Expr, Expr] = field(default_factory=dict)  # what they are in the newest one

    def forget(self) -> None:
        """Something changes: what was held is of before."""
        self.held, self.newest = {}, {}

    # -- values -------------------------------------------------------------------------------

    def read(self, ref: Ref) -> Expr:
        """`z[newest]`, for all rows."""
        if ref.slot != NEWEST:
            raise LoweringError("E0899", f"`{ref.path}` is read of no slot", ref.span)
        return self._newest(self.own(replace(ref, slot="")))

    def own(self, expr: Expr) -> Expr:
        """A value of this row as one that is held, or that all rows share."""
        if expr not in self.held:
            self.held[expr] = self._held(self.resolve(expr), span_of(expr))
        return self.held[expr]

    def _held(self, value: Expr, span: Span | None) -> Expr:
        place = self.place(value)
        if place not in _PER_ROW or (isinstance(value, Load) and self._whole(value)):
            return value
        hint = f"{self.population}.{'row' if place is Place.ROW else 'slot'}"
        name = self.context.scratch(hint, place, self.population, "read of other rows")
        self.emit(Store(name, value, span))
        return Load(name)

    def _whole(self, load: Load) -> bool:
        buffer = self.context.buffers[load.buffer]
        mine = buffer.place is Place.UNIT and buffer.owner == self.population
        plain = load.side == "own" and load.ago == 0 and buffer.slots == 1
        return plain and (mine or buffer.place is Place.ROW)

    def place(self, value: Expr) -> Place:
        """How many numbers an expression over buffers is; names are those of `let`s."""
        names = {node.name for node in walk(value) if isinstance(node, Local)}
        return self.context.place(value, {n: self.context.variable(n).place for n in names})

    def _newest(self, value: Expr) -> Expr:
        if not isinstance(value, Load) or self.place(value) not in _PER_ROW:
            return value
        if value not in self.newest:
            row = self.place(value) is Place.ROW
            owner, place = self.population, Place.ROW if row else Place.NEURON
            why = "value in the newest row"
            name = self.context.scratch(f"{value.buffer}.newest", place, owner, why)
            space = (ROW,) if row else (neuron(owner),)
            store = Store(name, replace(value, side=NEWEST))
            self.apart(Each(space, (store,), label=name))
            self.newest[value] = Load(name)
        return self.newest[value]

    def store(self, buffer: str, value: Expr, span: Span | None) -> None:
        """A number for each two rows: this one, and the second of a modulator's."""
        index = next(s for s in free(self.context, value) if s.endswith(f"/{SECOND}"))
        between = simplify(self._between(value, index))
        self.apart(Each((ROW, OTHER), (Store(buffer, between, span),), label=buffer))

    # -- reductions ---------------------------------------------------------------------------

    def reduce(self, node: Reduce) -> Expr:
        """A reduction over slots, for each row."""
        assert node.over_slots is not None
        value = self._hoisted(self._between(node.body, node.over_slots[1]))
        place = Place.UNIT if self._many(value) else Place.ROW
        hint, why = f"{self.population}.{node.kind}", "reduction over slots"
        name = self.context.scratch(hint, place, self.population, why)
        self.apart(Reduction(name, node.kind, simplify(value), (OTHER,), span=node.span))
        return Load(name, node.span)

    def _between(self, expr: Expr, index: str) -> Expr:
        """A value of this row and of slot `index`, which is that of the loop's second row."""
        slots = set(free(self.context, expr)) - {NEWEST}
        if index not in slots:
            return self.own(expr)
        if "" not in slots:
            return self._elsewhere(self.own(at_own(expr, index)))
        if isinstance(expr, Ref):
            from netdsl.passes.lower.resolve import variable_buffer

            return Load(variable_buffer(self.context, self.context.variable(expr.path)), expr.span)
        if isinstance(expr, Reduce):
            return self._reduced(expr, index)
        assert isinstance(expr, Apply | Custom)
        return rebuild(expr, tuple(self._between(child, index) for child in children(expr)))

    def _elsewhere(self, value: Expr) -> Expr:
        """What is held, in the second row."""

        def visit(node: Expr) -> Expr | None:
            rows = isinstance(node, Load) and self.place(node) in _PER_ROW
            return replace(node, side="other") if rows else None  # type: ignore[type-var]

        return transform(value, visit)

    def _reduced(self, node: Reduce, index: str) -> Expr:
        """A reduction over neurons of what differs between two slots."""
        if node.axis != "population":
            raise LoweringError(
                "E0831",
                f"a reduction over `{node.axis}` of what differs between slots is not offered",
                node.span,
                "reduce over the whole population",
            )
        value = self._hoisted(self._between(node.body, index))
        hint, why = f"{self.population}.{node.kind}", "between slots"
        name = self.context.scratch(hint, Place.PAIR, self.population, why)
        over = (neuron(self.population),)
        self.apart(Reduction(name, node.kind, simplify(value), over, span=node.span))
        return Load(name, node.span)

    def _many(self, value: Expr) -> bool:
        """Whether a value differs from neuron to neuron."""
        per_neuron = (Place.UNIT, Place.NEURON)
        return any(
            isinstance(node, Index)
            or (isinstance(node, Load) and self.context.buffers[node.buffer].place in per_neuron)
            for node in walk(value)
        )

    def _hoisted(self, value: Expr) -> Expr:
        """In a loop over neurons, what differs only between slots is read from a buffer."""
        if not self._many(value):
            return value

        def visit(node: Expr) -> Expr | None:
            if not isinstance(node, Apply | Custom) or self._many(node):
                return None
            loads = [part for part in walk(node) if isinstance(part, Load)]
            rows = [self.context.buffers[part.buffer].place for part in loads]
            sides = {part.side for part in loads if self.place(part) in _PER_ROW}
            if Place.PAIR not in rows and len(sides) < 2:
                return None if Place.ROW not in rows else node
            name = self.context.scratch(
                f"{self.population}.kernel", Place.PAIR, self.population, "between slots"
            )
            self.apart(Each((ROW, OTHER), (Store(name, simplify(node)),), label=name))
            return Load(name)

        return transform(value, visit)
