"""The reverse of one run of statements over cells.

The run is computed again from what it read, under names; then each statement, last first, hands
the derivative of the loss by its value (its adjoint) on to what it read, times the slope.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace

from netdsl.ir.algebra.derivative import derivative, handed_back
from netdsl.ir.algebra.factor import times
from netdsl.ir.algebra.simplify import simplify
from netdsl.ir.expr import Const, Expr, Load, Local, transform, walk
from netdsl.ir.network import Place, Type
from netdsl.ir.program import (
    AxisReduce,
    Bind,
    DrawStore,
    Elementwise,
    Op,
    RowReduce,
    Statement,
    Store,
)
from netdsl.ir.roles import mapped
from netdsl.passes.errors import LoweringError
from netdsl.passes.lower.context import add
from netdsl.passes.reverse.adjoints import Adjoints, Share, plus
from netdsl.passes.reverse.keep import Kept, boolean
from netdsl.passes.reverse.moment import Moment
from netdsl.passes.reverse.redo import Redo
from netdsl.passes.reverse.tape import Tape
from netdsl.passes.reverse.used import Leaf, leaves, used


@dataclass
class CellsReversal:
    """Reverses `op`, which ran at a moment of the tape. `free`: buffers that the phase keeps
    anyway; `redo`: deliveries that the step makes again."""

    adjoints: Adjoints
    active: set[str]
    op: Elementwise
    tape: Tape
    moment: Moment
    free: Set[str]
    redo: Redo

    def __post_init__(self) -> None:
        self.context = self.adjoints.context
        self.binds: list[Statement] = []
        self.values: list[tuple[str, Expr, str | None]] = []  # name, value, buffer stored to
        self.places: dict[str, Place] = {}
        self.moving: set[str] = set()  # names of values that depend on a weight
        self.held: dict[str, Expr] = {}  # what buffers hold by now
        self.shares: dict[Leaf, Share] = {}
        self.drawn: dict[str, str] = {}
        self.slots: dict[Load, Local] = {}
        self.reduced: RowReduce | AxisReduce | None = None

    def ops(self) -> list[Op]:
        """Operations that turn adjoints of what is stored into those of what is read."""
        live = self.adjoints.live
        stored = {(s.stores, 0) for s in self.op.statements if s.stores}
        if not stored & live:
            return []
        self.stored = [buffer for buffer, _ in stored]
        self._again()
        sums = self._reductions()
        self._back()
        live -= stored
        stores = self._stores()
        if not stores:
            return []
        statements = tuple(used([*self.binds, *stores]))
        op = Elementwise(self.op.population, statements, label=f"back: {self.op.title}")
        return [*sums, *self._placed(op)]

    def _placed(self, op: Elementwise) -> list[Op]:
        """The operation with reads of what was there then, or was made of it."""
        after = self.moment.at(self.moment.index + 1)
        kept, made = self._kept(op), list[Op]()

        def visit(node: Expr) -> Expr | None:
            if node in kept and not isinstance(node, Load | Local):
                return self._value(op, node)
            if isinstance(node, Load) and node not in kept and self._redone(node):
                made.extend(self.redo.ops(self.moment, node, lambda e: transform(e, visit)))
                return Load(self.redo.made[node])
            if isinstance(node, Local) and node.name in self.drawn:
                return self.tape.then(after, Load(self.drawn[node.name]))
            return self.tape.then(self.moment, node) if isinstance(node, Load) else None

        placed = mapped(op, lambda expr: transform(expr, visit))
        return [*made, replace(placed, statements=tuple(used([*placed.statements])))]

    def _kept(self, op: Elementwise) -> set[Expr]:
        """What the phase keeps for this, where it keeps something of each step."""
        if self.moment.section != "step" or self.tape.steps == 1:
            return set()
        choice = Kept(self.tape, self.moment, self.drawn, self.places, self.free, self.redo)
        return choice.chosen(op.statements)

    def _redone(self, load: Load) -> bool:
        """Does the sweep make again what was read?"""
        return self.redo.sent(self.moment, load) is not None

    def _value(self, op: Elementwise, value: Expr) -> Load:
        """A value of the forward step, which the phase computes and keeps."""
        binds = (s for s in op.statements if s.binds)
        *needed, _ = used([*binds, Store("", value)])
        type = Type.BOOL if boolean(value) else Type.REAL
        return self.tape.value(self.moment, value, tuple(needed), op.population, type)

    # -- forward ------------------------------------------------------------------------------

    def _again(self) -> None:
        """Name every value of the run."""
        names: dict[str, Expr] = {}

        def visit(node: Expr) -> Expr | None:
            if isinstance(node, Local):
                return names.get(node.name)
            if isinstance(node, Load) and node.ago != 0:
                return self._slot(node)
            return self.held.get(node.buffer) if isinstance(node, Load) else None

        for statement in self.op.statements:
            if isinstance(statement, RowReduce | AxisReduce):
                self.reduced = replace(statement, value=transform(statement.value, visit))
                continue
            name = f"was{len(self.values)}"
            if isinstance(statement, DrawStore):
                self._draw(statement, name)
                continue
            value = transform(statement.value, visit)
            buffer = statement.stores or None
            self.places[name] = self._place(value, buffer)
            if any(self._moves(leaf) for leaf in leaves(value)):
                self.moving.add(name)
            self.values.append((name, value, buffer))
            self.binds.append(Bind(name, value, statement.span))
            if buffer is None:
                names[statement.binds] = Local(name)
            else:
                self._once(statement)
                self.held[buffer] = Local(name)

    def _slot(self, load: Load) -> Local:
        """What is read of a ring has a name: slots of one ring are different values."""
        if load not in self.slots:
            name = self.slots[load] = Local(f"slot{len(self.slots)}")
            self.places[name.name] = self.context.buffers[load.buffer].place
            self.binds.append(Bind(name.name, load))
            self.values.append((name.name, load, None))
            if self._moves(load):
                self.moving.add(name.name)
        return self.slots[load]

    def _draw(self, statement: DrawStore, name: str) -> None:
        """What was drawn is a number like any other that is read."""
        self.held[statement.buffer] = Local(name)
        self.places[name] = self.context.buffers[statement.buffer].place
        self.drawn[name] = statement.buffer
        self.values.append((name, Const(0.0), statement.buffer))

    def _once(self, statement: Statement) -> None:
        """What was drawn is known by the buffer that it was drawn into."""
        if statement.stores in self.drawn.values():
            raise LoweringError(
                "E0806",
                f"`bptt` cannot differentiate `{statement.stores}`, drawn and then overwritten",
                statement.span,
                "keep the draw and what is made of it in states of their own",
            )

    def _place(self, value: Expr, buffer: str | None) -> Place:
        if buffer is not None:
            return self.context.buffers[buffer].place
        return self.context.place(value, self.places)

    def _moves(self, leaf: Leaf) -> bool:
        if isinstance(leaf, Local):
            return leaf.name in self.moving
        return leaf.buffer in self.active

    # -- backward -----------------------------------------------------------------------------

    def _reductions(self) -> list[Op]:
        """The reduction that the run ends with, if it does: to each of the values it reduced."""
        statement, live = self.reduced, self.adjoints.live
        if statement is None or (statement.buffer, 0) not in live:
            return []
        adjoint, ops = self.adjoints.name(statement.buffer), list[Op]()
        if isinstance(statement, AxisReduce):
            count, population = statement.length, self.op.population
            hint = f"{statement.buffer}.sum"
            total = self.context.scratch(hint, Place.UNIT, population, "adjoint of a group")
            summed = replace(statement, buffer=total, kind="sum", value=Load(adjoint))
            ops.append(Elementwise(population, (summed,), label=total))
            adjoint = total
        else:
            count = self.context.size(self.op.population)
        chosen = Local("chosen")
        if statement.kind in ("max", "min"):
            self.drawn["chosen"] = statement.buffer
        back = handed_back(statement.kind, Load(adjoint), statement.value, chosen, count)
        if back is not None:
            if self._read(statement.buffer):  # its adjoint is overwritten
                self.binds.append(Bind("back", back))
                back = Local("back")
            self._through(statement.value, None, back)
        return ops

    def _back(self) -> None:
        """Hand adjoints on, the last statement's first."""
        last: dict[str, str] = {b: name for name, _, b in self.values if b is not None}
        for name, value, buffer in reversed(self.values):
            share = self.shares.pop(Local(name), Share())
            if buffer is not None and last[buffer] == name and (buffer, 0) in self.adjoints.live:
                outer = Load(self.adjoints.name(buffer))
                row = self.places[name] is Place.ROW
                share.add(outer if row else None, None if row else outer)
            if name not in self.moving or share == Share():
                continue
            if self.places[name] is not Place.ROW:
                share = Share(None, plus(share.row, share.unit))
            row_part, unit_part = self._named(name, share)
            self._through(value, row_part, unit_part)

    def _named(self, name: str, share: Share) -> tuple[Expr | None, Expr | None]:
        """Adjoints under names: they are read before any of their buffers is overwritten."""
        parts: list[Expr | None] = []
        for letter, part in (("r", share.row), ("d", share.unit)):
            if part is not None and not self._stays(part):
                adjoint = f"{letter}{name}"
                self.binds.append(Bind(adjoint, part))
                self.places[adjoint] = Place.ROW if letter == "r" else Place.UNIT
                part = Local(adjoint)
            parts.append(part)
        return parts[0], parts[1]

    def _stays(self, part: Expr) -> bool:
        """Is this an adjoint that is not overwritten before it was read by all?"""
        return isinstance(part, Load) and not any(map(self._read, self.stored))

    def _read(self, buffer: str) -> bool:
        """Does the run read what a buffer held before?"""
        return any(
            isinstance(node, Load) and node.buffer == buffer
            for _, value, _ in self.values
            for node in walk(value)
        )

    def _through(self, value: Expr, row: Expr | None, unit: Expr | None) -> None:
        """Add to the adjoints of what `value` reads."""
        for leaf in leaves(value):
            if not self._moves(leaf):
                continue
            path = leaf.buffer if isinstance(leaf, Load) else leaf.name
            slope = simplify(derivative(value, path))
            if slope != Const(0.0):
                share = self.shares.setdefault(leaf, Share())
                share.add(row and times(row, slope), unit and times(unit, slope))

    def _stores(self) -> list[Statement]:
        """Store the adjoints of what the run read; those of one number per sample are summed."""
        stores: list[Statement] = []
        late: list[Statement] = []
        for leaf, share in self.shares.items():
            assert isinstance(leaf, Load) and isinstance(leaf.ago, int)
            slot = (leaf.buffer, leaf.ago)
            adjoint, row = self.adjoints.name(*slot), share.row
            held = self.context.buffers[leaf.buffer]
            if held.place is not Place.ROW:
                row = plus(row, share.unit)
            elif share.unit is not None:
                hint = f"{leaf.buffer}.part"
                total = self.context.scratch(hint, Place.ROW, self.op.population, "adjoint")
                part = share.unit
                if late:  # behind a reduction no name is known
                    kept = self.context.scratch(hint, Place.UNIT, self.op.population, "adjoint")
                    stores.append(Store(kept, part))
                    part = Load(kept)
                late.append(RowReduce(total, "sum", part))
                known = slot in self.adjoints.live or row is not None
                sum_ = add(Load(adjoint), Load(total)) if known else Load(total)
                late.append(Store(adjoint, sum_))
            if row is not None:
                known = slot in self.adjoints.live
                stores.append(Store(adjoint, add(Load(adjoint), row) if known else row))
            self.adjoints.live.add(slot)
        return [*stores, *late]
