"""Deliveries that a reversed step makes again, rather than that the phase keeps what they brought.

What arrives at each step is one number per unit, like that which was sent. Where the latter is made
of numbers that are kept anyway, and nothing but recursions that are swept reads what arrives, the
delivery has its place in the sweep alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from netdsl.ir.algebra.simplify import simplify
from netdsl.ir.expr import Expr, Load, Local, transform
from netdsl.ir.network import Place, Type
from netdsl.ir.program import Copy, Elementwise, Key, Op, Propagate, Statement, Store
from netdsl.passes.reverse.moment import Moment
from netdsl.passes.reverse.tape import Tape


@dataclass
class Redo:
    """What deliveries of one step of a tape brought, in terms of what their senders know.

    `made`: where the reversed step that is being built holds it.
    """

    tape: Tape
    made: dict[Load, str] = field(default_factory=dict)

    def sent(self, moment: Moment, load: Load) -> tuple[Propagate, Expr] | None:
        """The delivery that brought what is read, and what it sent, as values of the moment."""
        ops = self.tape.parts["step"]
        if moment.section != "step" or load.ago != 0 or self.tape.steps == 1:
            return None
        writers = [n for n, op in enumerate(ops) if load.buffer in op.writes]
        if len(writers) != 1 or writers[0] >= moment.index:
            return None
        op = ops[writers[0]]
        if not isinstance(op, Propagate) or not self._whole(op) or not self._private(moment, load):
            return None
        value: Expr | None = Load(op.source)
        if not self.tape.context.buffers[op.source].of:  # what was computed for this alone
            value = self._known(writers[0], moment.index).get(op.source)
        elif any(op.source in other.writes for other in ops[writers[0] : moment.index]):
            value = None
        return None if value is None else (op, value)

    def ops(self, moment: Moment, load: Load, read: Callable[[Expr], Expr]) -> list[Op]:
        """Operations that make a delivery again; `made` tells where."""
        found = self.sent(moment, load)
        if found is None or load in self.made:
            return []
        delivery, value = found
        context = self.tape.context
        names: list[str] = []
        for buffer in (delivery.source, delivery.target):
            held = context.buffers[buffer]
            why = "what was sent then" if not names else "what arrived then"
            names.append(context.scratch(f"{buffer}@again", Place.UNIT, held.owner, why))
        source, target = names
        sent = Elementwise(
            context.buffers[delivery.source].owner, (Store(source, read(value)),), label=source
        )
        self.made[load] = target
        return [sent, replace(delivery, source=source, target=target, binary=False)]

    def _whole(self, op: Propagate) -> bool:
        """Is this all that arrives, of this step, through weights that stay?"""
        buffers = self.tape.context.buffers
        partial = op.accumulate or op.scale is not None or op.pre_slice or op.post_slice
        stays = not any(op.weight in other.writes for other in self.tape.parts["step"])
        plain = all(buffers[b].place is Place.UNIT for b in (op.source, op.target))
        real = buffers[op.source].type is not Type.BOOL
        return stays and plain and real and not partial and op.ago == 0

    def _private(self, moment: Moment, load: Load) -> bool:
        """Does nothing read it but recursions that are swept?"""
        context, buffer = self.tape.context, load.buffer
        if Key(context.buffers[buffer].of) in context.observed:
            return False
        readers = [op for op in self.tape.ops if buffer in op.reads]
        return all(op.writes <= context.imagined for op in readers)

    def _known(self, end: int, moment: int) -> dict[str, Expr]:
        """What operations before `end` stored, by buffer, in terms of what buffers hold at a later
        moment of the step; of two ways to say it the one that reads another of these."""
        ops = self.tape.parts["step"][:moment]
        known: dict[str, Expr] = {}
        for number, op in enumerate(ops[:end]):
            if not isinstance(op, Elementwise):
                continue
            bound: dict[str, Expr] = {}
            for place, statement in enumerate(op.statements):
                if statement.ends_loop or statement.draws:
                    continue
                (read,) = statement.values
                value = self._later(read, bound, ops, number, place)
                if value is None:
                    continue
                if statement.binds:
                    bound[statement.binds] = value
                elif self._stays(statement.stores, ops, number, place + 1):
                    known[statement.stores] = self._shared(value, known)
        return known

    def _later(
        self, value: Expr, bound: dict[str, Expr], ops: tuple[Op, ...], number: int, place: int
    ) -> Expr | None:
        """A value of a statement in terms of what buffers hold later on; None if they do not."""
        lost = False

        def visit(node: Expr) -> Expr | None:
            nonlocal lost
            if isinstance(node, Local):
                lost = lost or node.name not in bound
                return bound.get(node.name)
            if not isinstance(node, Load) or self._stays(node.buffer, ops, number, place):
                return None
            copied = self._copied(node, ops, number, place)
            lost = lost or copied is None
            return copied

        found = transform(value, visit)
        return None if lost else simplify(found)

    def _stays(self, buffer: str, ops: tuple[Op, ...], number: int, place: int) -> bool:
        """Is a buffer left alone from a statement of an operation on?"""
        behind = any(s.stores == buffer for s in _statements(ops[number])[place:])
        return not behind and not any(buffer in other.writes for other in ops[number + 1 :])

    def _copied(self, load: Load, ops: tuple[Op, ...], number: int, place: int) -> Load | None:
        """A read of a copy that was made in the step of what is overwritten later in it."""
        before = _statements(ops[number])[:place]
        if load.ago != 0 or any(s.stores == load.buffer for s in before):
            return None
        for at in range(number - 1, -1, -1):
            other = ops[at]
            if load.buffer in other.writes:
                return None
            if (target := next(iter(other.writes), "")) and other == Copy(target, load.buffer):
                again = any(target in o.writes for o in ops[at + 1 :])
                return None if again else replace(load, buffer=target)
        return None

    def _shared(self, value: Expr, known: dict[str, Expr]) -> Expr:
        """A value with reads of what is held already in the place of its parts."""
        held = {v: Load(b) for b, v in known.items() if not isinstance(v, Load)}

        def visit(node: Expr) -> Expr | None:
            load = held.get(node)
            wide = load is not None and self.tape.context.buffers[load.buffer].place is Place.UNIT
            return load if wide else None

        return transform(value, visit)


def _statements(op: Op) -> tuple[Statement, ...]:
    """Those of an operation over cells."""
    found: tuple[Statement, ...] = getattr(op, "statements", ())
    return found
