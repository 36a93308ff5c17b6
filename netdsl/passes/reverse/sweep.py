"""The sweep: a tape's operations in reverse, each handing on the adjoints of what it wrote.

Where a phase has several steps the reverse of one is a loop. What it carries from step to step are
the adjoints that are live at both ends of it; these start from 0 where nothing was added before.
The last steps of the phase are reversed one by one ahead of the loop, as long as that leaves it
less to carry: what the loss reads at the end is often no matter at any other step.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, field
from typing import Any

from netdsl.ir.expr import Load
from netdsl.ir.program import (
    Copy,
    Elementwise,
    Fill,
    Op,
    Propagate,
    Push,
)
from netdsl.ir.roles import of_kind
from netdsl.passes.reverse.adjoints import Slot
from netdsl.passes.reverse.cells import CellsReversal
from netdsl.passes.reverse.deliveries import Deliveries
from netdsl.passes.reverse.moment import LOSS, Moment
from netdsl.passes.reverse.redo import Redo

_MOST_AHEAD = 8  # steps reversed one by one


@dataclass
class Sweep(Deliveries):
    """The reverse of a tape, from what computes the loss on.

    `ahead`: how many steps are reversed in `once`, the last ones first; at most `most`.
    """

    most: int = _MOST_AHEAD
    ahead: int = 0
    once: list[Op] = field(default_factory=list)
    step: list[Op] = field(default_factory=list)
    after: list[Op] = field(default_factory=list)
    again: Redo = field(init=False)

    def run(self, loss: tuple[Op, ...]) -> None:
        """Fill `once`, `step` and `after` of the sweep; the adjoint of the loss is live."""
        tape = self.tape
        self.again = Redo(tape)
        step = of_kind(Propagate, tape.parts["step"])
        self.free = {op.source for op in step if op.weight in self.weights}
        self.once += self._reversed(Moment(LOSS), loss)
        self.once += self._reversed(Moment("after"), tape.parts["after"])
        while self.ahead < tape.steps and (tape.steps == 1 or self._lightens()):
            self.once += self._stepped(self.ahead)
            self.ahead += 1
        if self.ahead < tape.steps:
            self._loop()
        last = self._reversed(Moment("once"), tape.parts["once"])
        (self.after if self.step else self.once).extend(last)
        self._without_copies()

    # -- steps --------------------------------------------------------------------------------

    def _stepped(self, back: int, loops: bool = False) -> list[Op]:
        self.read.clear()
        self.again = Redo(self.tape)
        return self._reversed(Moment("step", 0, back, loops), self.tape.parts["step"])

    def _lightens(self) -> bool:
        """Does the loop carry less if one more step is reversed before it?"""
        if self.ahead >= self.most:
            return False
        trial = self._trial()
        now, _ = trial._carried(self.ahead)
        trial = self._trial()
        trial._stepped(self.ahead)
        then, _ = trial._carried(self.ahead + 1)
        return then < now

    def _trial(self) -> Sweep:
        """A sweep at the same point that leaves this one alone."""
        tape, adjoints = copy(self.tape), copy(self.adjoints)
        tape.context = adjoints.context = copy(tape.context)
        tape.context.buffers = dict(tape.context.buffers)
        tape.kept = {key: copy(kept) for key, kept in tape.kept.items()}
        adjoints.live, adjoints.names = set(adjoints.live), dict(adjoints.names)
        trial = Sweep(tape, adjoints, self.active, self.weights)
        trial.free = self.free
        return trial

    def _carried(self, back: int) -> tuple[set[Slot], list[Op]]:
        """The adjoints that are live at the beginning of any step from now on, and its reverse."""
        live = self.adjoints.live
        carried = set(live)
        while True:
            live.clear()
            live |= carried
            body = self._stepped(back, loops=True)
            if live <= carried:
                return carried, body
            carried |= live

    def _loop(self) -> None:
        live = self.adjoints.live
        begun = set(live)
        carried, body = self._carried(self.ahead)
        self.once += [Fill(self.adjoints.name(*s), 0.0) for s in sorted(carried - begun)]
        self.once += [Fill(total, 0.0) for total in self.totals.values()]
        ended = sorted(carried - live)
        self.step += [*body, *(Fill(self.adjoints.name(*s), 0.0) for s in ended)]
        live |= carried

    def _reversed(self, moment: Moment, ops: tuple[Op, ...]) -> list[Op]:
        found: list[Op] = []
        for index in range(len(ops) - 1, -1, -1):
            op = ops[index]
            reverse = _REVERSES.get(type(op))
            if reverse is not None:
                found += reverse(self, moment.at(index), op)
            elif not op.writes.isdisjoint(buffer for buffer, _ in self.adjoints.live):
                raise self.tape.weights_change(getattr(op, "span", None))  # a table of these
        return found

    # -- operations ---------------------------------------------------------------------------

    def cells(self, moment: Moment, op: Elementwise) -> list[Op]:
        """Slopes of all that is stored."""
        kept = self.tape, moment, self.free, self.again
        return CellsReversal(self.adjoints, self.active, op, *kept).ops()

    def copied(self, moment: Moment, op: Copy) -> list[Op]:
        """The source gets the adjoint of the target."""
        live = self.adjoints.live
        if (op.target, 0) not in live:
            return []
        live.discard((op.target, 0))
        if not moment.loops and op.source in self.active and (op.source, 0) not in live:
            self.adjoints.hand(op.target, op.source)
            return []
        return self.moved((op.source, 0), Load(self.adjoints.name(op.target)))

    def filled(self, moment: Moment, op: Fill) -> list[Op]:
        """What was filled depends on nothing."""
        self.adjoints.live.discard((op.target, 0))
        return []

    def pushed(self, moment: Moment, op: Push) -> list[Op]:
        """What was pushed gets the adjoint of the newest slot, each slot that of the next older."""
        ops: list[Op] = []
        live = self.adjoints.live
        for ago in range(self.tape.context.buffers[op.target].slots):
            if (op.target, ago) in live:
                live.discard((op.target, ago))
                into = (op.target, ago - 1) if ago and not op.all else (op.source, 0)
                ops += self.moved(into, Load(self.adjoints.name(op.target, ago)))
        return ops

    def _without_copies(self) -> None:
        """Of adjoints that stay as they are no copy is needed."""
        changed: set[str] = set()
        for ops in (self.after, self.step, self.once):
            kept: list[Op] = []
            for op in reversed(ops):
                copied = next((copy for copy in self.copies if copy is op), None)
                if copied is not None and copied.source not in changed:
                    self.rename(copied.target, copied.source)
                    continue
                changed |= op.writes
                kept.append(op)
            ops[:] = kept[::-1]


_REVERSES: dict[type, Callable[[Sweep, Moment, Any], list[Op]]] = {
    Elementwise: Sweep.cells,
    Copy: Sweep.copied,
    Fill: Sweep.filled,
    Push: Sweep.pushed,
    Propagate: Sweep.delivered,
}
