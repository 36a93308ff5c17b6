"""What modulators read of other rows or slots: kernels between them, and reductions over them.

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
from netdsl.ir.space import OTHER, ROW, Axis, Space, neuron, other_slot, slot
from netdsl.passes.errors import LoweringError
from netdsl.passes.lower.context import Context
from netdsl.passes.lower.stored import stored_buffer

_PER_ROW = (Place.ROW, Place.UNIT)
_STORED = (Place.SLOT, Place.SLOT_UNIT)
_WITH_SLOTS = (*_PER_ROW, *_STORED, Place.PAIR)
_PAIRS = (Place.PAIR, Place.SLOT_PAIR, Place.ROW_SLOT)
_PER_NEURON = (Place.UNIT, Place.NEURON, Place.SLOT_UNIT)
_OF_SLOTS = (Place.SLOT, Place.SLOT_UNIT, Place.SLOT_PAIR, Place.ROW_SLOT)

OWN = "own"  # in place of the index of a slot, where it does not matter which


def is_newest(index: str) -> bool:
    """Whether a slot is the newest one, of the rows or of a window."""
    return index.rpartition(":")[2] == NEWEST


def window_of(context: Context, index: str) -> str:
    """The window that a slot is of, "" of rows."""
    return index.partition(":")[0] if ":" in index else ""


def free(context: Context, expr: Expr, bound: frozenset[str] = frozenset()) -> Iterator[str]:
    """The slots that a value depends on, the newest ones aside: "" for the row itself."""
    if isinstance(expr, Ref) and context.variable(expr.path).place in _WITH_SLOTS:
        slots = expr.slot.split(",")
        yield from (slot for slot in slots if slot not in bound and not is_newest(slot))
    if isinstance(expr, Reduce) and expr.over_slots is not None:
        bound |= {expr.over_slots[1]}
    for child in children(expr):
        yield from free(context, child, bound)


def at_own(expr: Expr, index: str, own: str = "") -> Expr:
    """A value of slot `index` as that of slot `own`, this row."""

    def visit(node: Expr) -> Expr | None:
        if isinstance(node, Ref) and index in node.slot.split(","):
            parts = [own if slot == index else slot for slot in node.slot.split(",")]
            return replace(node, slot=",".join(parts))
        bound = node.over_slots if isinstance(node, Reduce) else None
        return node if bound is not None and bound[1] == index else None

    return transform(expr, visit)


@dataclass(frozen=True)
class Frame:
    """The loops of a reduction over slots, and the places of what is held for them."""

    own: Axis
    other: Axis
    row: Place
    unit: Place
    pair: Place
    memory: str = ""


def _frame(window: str, own: str) -> Frame:
    """Rows against rows, rows against the slots of a window, or its slots against each other."""
    if not window:
        return Frame(ROW, OTHER, Place.ROW, Place.UNIT, Place.PAIR)
    if not own:
        other = other_slot(window)
        return Frame(ROW, other, Place.ROW, Place.UNIT, Place.ROW_SLOT, window)
    axes = slot(window), other_slot(window)
    return Frame(*axes, Place.SLOT, Place.SLOT_UNIT, Place.SLOT_PAIR, window)


@dataclass
class Slots:
    """Reads of other rows, and of slots of windows, in one population's body.

    `resolve` turns values of this row into expressions over buffers, `emit` takes statements of the
    population's loop, and `apart` an operation that runs behind all that was emitted. An index
    `own` says which slot a value is of: "" for this row, else one of a window.
    """

    context: Context
    population: str
    resolve: Callable[[Expr], Expr]
    emit: Callable[[Statement], None]
    apart: Callable[[Op], None]
    pair: Callable[[str], str]  # the buffer of a variable with a number for each two rows
    held: dict[Expr, Expr] = field(default_factory=dict)  # values of this row in buffers
    newest: dict[Expr, Expr] = field(default_factory=dict)  # what they are in the newest one

    def forget(self) -> None:
        """Something changes: what was held is of before."""
        self.held, self.newest = {}, {}

    # -- values -------------------------------------------------------------------------------

    def read(self, ref: Ref) -> Expr:
        """`z[newest]`, for all rows."""
        if not is_newest(ref.slot):
            raise LoweringError("E0899", f"`{ref.path}` is read of no slot", ref.span)
        window = window_of(self.context, ref.slot)
        if window:
            return self._newest(Load(stored_buffer(self.context, ref.path, window)))
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
        if not isinstance(value, Load) or self._place(value) not in (*_PER_ROW, *_STORED):
            return value
        if value not in self.newest:
            row = self._place(value) in (Place.ROW, Place.SLOT)
            place = Place.ROW if row else Place.NEURON
            owner = self.context.buffers[value.buffer].owner
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
        between = simplify(self._between(value, "", index, _frame("", "")))
        self.apart(Each((ROW, OTHER), (Store(buffer, between, span),), label=buffer))

    def _place(self, load: Load) -> Place:
        return self.context.buffers[load.buffer].place

    def stored(self, expr: Expr, at: str) -> Expr:
        """A value of slot `at` of a window alone, over its slots."""
        if isinstance(expr, Ref) and window_of(self.context, expr.slot):
            side = NEWEST if is_newest(expr.slot) else "own"
            window = window_of(self.context, expr.slot)
            return Load(stored_buffer(self.context, expr.path, window), expr.span, side)
        if isinstance(expr, Reduce):
            key = at_own(expr, at, OWN)
            if key not in self.held:
                neurons = expr.over_slots is None
                made = self._over_neurons(expr, at) if neurons else self.reduce(expr, at)
                self.held[key] = made
            return self.held[key]
        parts = children(expr)
        if not parts:
            return self.resolve(expr)
        return rebuild(expr, tuple(self.stored(part, at) for part in parts))

    def _over_neurons(self, node: Reduce, at: str) -> Expr:
        self._whole_population(node)
        value, window = self.stored(node.body, at), window_of(self.context, at)
        return self._made(node, Place.SLOT, value, (neuron(self.population),), window)

    # -- reductions ---------------------------------------------------------------------------

    def reduce(self, node: Reduce, own: str = "") -> Expr:
        """A reduction over slots, for each row or each slot of a window."""
        assert node.over_slots is not None
        index = node.over_slots[1]
        frame = _frame(window_of(self.context, index), own)
        value = self._hoisted(self._between(node.body, own, index, frame), frame)
        place = frame.unit if self._many(value) else frame.row
        return self._made(node, place, value, (frame.other,), frame.memory)

    def _made(self, node: Reduce, place: Place, value: Expr, over: Space, memory: str) -> Expr:
        """A reduction as an operation of its own."""
        hint, why = f"{self.population}.{node.kind}", "between slots"
        owner = self.population
        name = self.context.scratch(hint, place, owner, why, memory if place in _OF_SLOTS else "")
        self.apart(Reduction(name, node.kind, simplify(value), over, span=node.span))
        return Load(name, node.span)

    def _one(self, expr: Expr, at: str) -> Expr:
        """A value of one slot alone, in the loops over this row or this slot."""
        if window_of(self.context, at):
            return self.stored(expr, at)
        return self.own(at_own(expr, at))

    def _between(self, expr: Expr, own: str, index: str, frame: Frame) -> Expr:
        """A value of this row and of slot `index`, which is that of the loop's second row."""
        slots = set(free(self.context, expr))
        if index not in slots:
            return self._one(expr, own)
        if own not in slots:
            return self._elsewhere(self._one(expr, index))
        if isinstance(expr, Ref):  # a number for each two rows
            return Load(self.pair(expr.path), expr.span)
        if isinstance(expr, Reduce):
            self._whole_population(expr)
            value = self._hoisted(self._between(expr.body, own, index, frame), frame)
            return self._made(expr, frame.pair, value, (neuron(self.population),), frame.memory)
        parts = tuple(self._between(child, own, index, frame) for child in children(expr))
        return rebuild(expr, parts)

    def _elsewhere(self, value: Expr) -> Expr:
        """What is held, in the second row."""

        def visit(node: Expr) -> Expr | None:
            if not isinstance(node, Load) or node.side != "own":
                return None
            rows = self._place(node) in (*_PER_ROW, *_STORED)
            return replace(node, side="other") if rows else None

        return transform(value, visit)

    def _whole_population(self, node: Reduce) -> None:
        if node.axis != "population":
            raise LoweringError(
                "E0831",
                f"a reduction over `{node.axis}` of what differs between slots is not offered",
                node.span,
                "reduce over the whole population",
            )

    def _many(self, value: Expr) -> bool:
        """Whether a value differs from neuron to neuron."""
        return any(
            isinstance(node, Index) or (isinstance(node, Load) and self._place(node) in _PER_NEURON)
            for node in walk(value)
        )

    def _hoisted(self, value: Expr, frame: Frame) -> Expr:
        """In a loop over neurons, what differs only between slots is read from a buffer."""
        if not self._many(value):
            return value

        def visit(node: Expr) -> Expr | None:
            if not isinstance(node, Apply | Custom) or self._many(node):
                return None
            loads = [part for part in walk(node) if isinstance(part, Load)]
            sides = {load.side for load in loads if self._place(load) in (*_PER_ROW, *_STORED)}
            pairs = any(self._place(load) in _PAIRS for load in loads)
            if not pairs and not {"own", "other"} <= sides:
                return node
            hint, why = f"{self.population}.kernel", "between slots"
            name = self.context.scratch(hint, frame.pair, self.population, why, frame.memory)
            store = Store(name, simplify(node))
            self.apart(Each((frame.own, frame.other), (store,), label=name))
            return Load(name)

        return transform(value, visit)
