"""The tape: a phase's operations in the order in which they ran, and what is kept of their past.

Slopes read what an operation read when it ran. Where that was overwritten since, the phase keeps
it: a copy where the operation runs once, a slot for each step where it runs at every step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from netdsl.ir.expr import Apply, Const, Expr, Load, transform
from netdsl.ir.network import Place
from netdsl.ir.program import (
    AxisReduce,
    Buffer,
    Copy,
    Elementwise,
    Op,
    Push,
    Routine,
    RowReduce,
    Statement,
    Store,
    SynapseUpdate,
)
from netdsl.ir.rings import seen_through
from netdsl.passes.errors import LoweringError
from netdsl.passes.lower.context import Context

SECTIONS = ("once", "step", "after")
LOSS = "loss"  # what computes the loss from what the phase left; it runs after the phase
_KEPT = (Place.UNIT, Place.ROW, Place.GLOBAL)
_STEP, _CLOCK = Load("phase.step"), Load("t")


@dataclass
class Tape:
    """A phase of `steps` steps; `kept`: (section, position, what is read) to what keeps it there.

    A reversed step is the k-th from the end, and k is what `phase.step` holds while it runs.
    """

    context: Context
    routine: Routine
    steps: int
    parts: dict[str, tuple[Op, ...]] = field(init=False)
    kept: dict[tuple[str, int, Load], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        views = self.context.views
        self.parts = {
            name: tuple(seen_through(op, views) for op in runs(getattr(self.routine, name)))
            for name in SECTIONS
        }
        if self.steps == 0:
            self.parts["step"] = ()

    @property
    def loops(self) -> bool:
        """Does a step run more than once?"""
        return self.steps > 1

    @property
    def ops(self) -> tuple[Op, ...]:
        """All operations in order, those of a step once."""
        return tuple(op for section in SECTIONS for op in self.parts[section])

    def then(self, section: str, index: int, expr: Expr) -> Expr:
        """An expression with what its buffers held before operation `index` of a section."""

        def visit(node: Expr) -> Expr | None:
            return self._load(section, index, node) if isinstance(node, Load) else None

        return expr if section == LOSS else transform(expr, visit)

    def _load(self, section: str, index: int, load: Load) -> Expr:
        if section == "step" and load in (_STEP, _CLOCK):
            return self._counted(load)
        if not self._changes(section, index, load.buffer):
            return load
        if isinstance(load.ago, Expr):
            raise LoweringError(
                "E0806",
                f"`bptt` cannot go back through `{load.buffer}`, read at a delay that changes",
                load.span or self.routine.span,
                "read it at a delay that stays the same",
            )
        key = (section, self._since(section, index, load.buffer), load)
        if key not in self.kept:
            self.kept[key] = self._keep(load, section)
        return Load(self.kept[key], load.span, load.side, _STEP if self._each(section) else 0)

    def _each(self, section: str) -> bool:
        return section == "step" and self.loops

    def _counted(self, load: Load) -> Expr:
        """A counter of the step that is reversed: it ran up to the end of the phase since."""
        back: Expr = Apply("add", (_STEP, Const(1.0))) if self.loops else Const(1.0)
        end: Expr = load if load == _CLOCK else Const(float(self.steps))
        return Apply("sub", (end, back), load.span)

    def _changes(self, section: str, index: int, buffer: str) -> bool:
        """Is a buffer overwritten after that, in this step or a later one?"""
        first = 0 if self._each(section) else index
        later = SECTIONS[SECTIONS.index(section) + 1 :]
        ops = (*self.parts[section][first:], *(op for name in later for op in self.parts[name]))
        return any(buffer in op.writes for op in ops)

    def _since(self, section: str, index: int, buffer: str) -> int:
        """The position right behind the last store before operation `index`."""
        ops = self.parts[section][:index]
        return max((n + 1 for n, op in enumerate(ops) if buffer in op.writes), default=0)

    def _keep(self, load: Load, section: str) -> str:
        held = self.context.buffers[load.buffer]
        if held.place not in _KEPT:
            raise LoweringError(
                "E0806",
                f"`bptt` cannot differentiate phase `{self.routine.phase}`: weights or parameters "
                "change in it",
                self.routine.span,
                "learn at `update`, when the phase is over",
            )
        when = "at each step" if self._each(section) else "as it was"
        why = f"`{held.of or held.name}` {when}, for the reverse sweep"
        name = self.context.scratch(f"{load.buffer}@then", *self._where(held), why)
        slots = self.steps if self._each(section) else 1
        kept = replace(self.context.buffers[name], slots=slots, type=held.type)
        self.context.buffers[name] = kept
        return name

    def _where(self, held: Buffer) -> tuple[Place, str]:
        """Place and owner of what keeps a buffer: one number is kept for each sample."""
        owner = held.owner or next(iter(self.context.network.populations))
        return (Place.ROW if held.place is Place.GLOBAL else held.place), owner

    def recorded(self) -> Routine:
        """The routine with operations that keep what the sweeps read."""
        if not self.kept:
            return self.routine
        once, step, after = (tuple(self._recorded(name)) for name in SECTIONS)
        return replace(self.routine, once=once, step=step or self.routine.step, after=after)

    def _recorded(self, section: str) -> Iterator[Op]:
        ops = self.parts[section]
        for index in range(len(ops) + 1):
            for (where, position, load), name in self.kept.items():
                if (where, position) == (section, index):
                    yield from self._record(load, name, self._each(section))
            yield from ops[index : index + 1]

    def _record(self, load: Load, name: str, each: bool) -> Iterator[Op]:
        held = self.context.buffers[load.buffer]
        source = load.buffer
        if held.slots > 1 or held.place is Place.GLOBAL:
            place, owner = self._where(held)
            source = self.context.scratch(f"{name}.now", place, owner, "what is to be kept")
            yield Elementwise(owner, (Store(source, load),), label=source)
        yield Push(name, source) if each else Copy(name, source)


def runs(ops: Iterable[Op]) -> Iterator[Op]:
    """The operations, those over cells cut behind each reduction: no bound name crosses one."""
    for op in ops:
        if not isinstance(op, Elementwise):
            yield op
            continue
        statements: list[Statement] = []
        for statement in op.statements:
            statements.append(statement)
            if isinstance(statement, RowReduce | AxisReduce):
                yield replace(op, statements=tuple(statements))
                statements = []
        if statements:
            yield replace(op, statements=tuple(statements))


def changes_weights(op: Op) -> bool:
    """Is an operation a pass that learns?"""
    return isinstance(op, SynapseUpdate) and bool(op.sums)
