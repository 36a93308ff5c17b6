"""The tape: a phase's operations in the order in which they ran, and what is kept of their past.

Slopes read what an operation read when it ran. Where that was overwritten since, the phase keeps
it: a copy where the operation runs once, a slot for each step where it runs at every step.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from netdsl.diagnostics.span import Span
from netdsl.ir.expr import PREV, Apply, Const, Expr, Load, transform, walk
from netdsl.ir.network import Place, Type
from netdsl.ir.program import Buffer, Copy, Elementwise, Key, Op, Push, Routine, Statement, Store
from netdsl.ir.rings import seen_through
from netdsl.ir.roles import expressions
from netdsl.passes.errors import LoweringError
from netdsl.passes.lower.context import Context
from netdsl.passes.reverse.moment import LOSS, SECTIONS, Moment

_KEPT = (Place.UNIT, Place.ROW, Place.GLOBAL)
COUNTERS = _STEP, _CLOCK = Load("phase.step"), Load("t")


@dataclass
class Kept:
    """A value that the phase keeps: what it is before operation `index` of a section.

    `binds` come before `value`, which is over `owner`. `name` is the buffer that it is kept in,
    `slots` of how many steps.
    """

    section: str
    index: int
    owner: str
    value: Expr
    binds: tuple[Statement, ...]
    name: str
    slots: int = 1
    before: bool = False  # also what was there before the first step


@dataclass
class Tape:
    """A phase of `steps` steps, and what it keeps by place and value.

    A reversed step is the k-th from the end, and k is what `phase.step` holds while it runs.
    """

    context: Context
    routine: Routine
    steps: int
    parts: dict[str, tuple[Op, ...]] = field(init=False)
    kept: dict[tuple[str, int, Expr], Kept] = field(default_factory=dict)

    def __post_init__(self) -> None:
        views = self.context.views
        self.parts = {
            name: tuple(seen_through(op, views) for op in runs(getattr(self.routine, name)))
            for name in SECTIONS
        }
        if self.steps == 0:
            self.parts["step"] = ()
        self.touched = frozenset[str]().union(*(op.reads | op.writes for op in self.ops))

    @property
    def ops(self) -> tuple[Op, ...]:
        """All operations in order, those of a step once."""
        return tuple(op for section in SECTIONS for op in self.parts[section])

    def then(self, moment: Moment, expr: Expr) -> Expr:
        """An expression with what its buffers held at a moment."""

        def visit(node: Expr) -> Expr | None:
            return self._load(moment, node) if isinstance(node, Load) else None

        return expr if moment.section == LOSS else transform(expr, visit)

    def changes(self, moment: Moment, buffer: str) -> bool:
        """Is a buffer overwritten after that, in this step or a later one?"""
        if moment.section == LOSS:
            return False
        first = 0 if moment.again else moment.index
        later = SECTIONS[SECTIONS.index(moment.section) + 1 :]
        ops = (*self.parts[moment.section][first:], *(op for n in later for op in self.parts[n]))
        return any(buffer in op.writes for op in ops)

    def changed(self, moment: Moment, buffer: str) -> bool:
        """Was a buffer stored to before that, in this step or an earlier one?"""
        if moment.section == LOSS:
            return any(buffer in op.writes for op in self.ops)
        begun = moment.section == "step" and (moment.loops or moment.back + 1 < self.steps)
        last = None if begun else moment.index
        earlier = SECTIONS[: SECTIONS.index(moment.section)]
        ops = (*(op for n in earlier for op in self.parts[n]), *self.parts[moment.section][:last])
        return any(buffer in op.writes for op in ops)

    def weights_change(self, span: Span | None = None) -> LoweringError:
        """What is said of a sweep that would have to go back through a change of weights."""
        return LoweringError(
            "E0806",
            f"`bptt` cannot differentiate phase `{self.routine.phase}`: weights or parameters "
            "change in it",
            span or self.routine.span,
            "learn at `update`, when the phase is over",
        )

    def value(
        self, moment: Moment, value: Expr, binds: tuple[Statement, ...], owner: str, type: Type
    ) -> Load:
        """A read of what an expression over cells was, computed and kept while the phase runs."""
        key = (moment.section, moment.index, value)
        if key not in self.kept:
            why = "what slopes are made of at each step, for the reverse sweep"
            name = self.context.scratch(f"{owner}.slope", Place.UNIT, owner, why)
            self.context.buffers[name] = replace(self.context.buffers[name], type=type)
            self.kept[key] = Kept(moment.section, moment.index, owner, value, binds, name)
        return self._read(self.kept[key], moment)

    # -- buffers ------------------------------------------------------------------------------

    def _load(self, moment: Moment, load: Load) -> Expr:
        if moment.section == "step" and load in (_STEP, _CLOCK):
            return self._counted(moment, load)
        if not self.changes(moment, load.buffer):
            return load
        if isinstance(load.ago, Expr):
            raise LoweringError(
                "E0806",
                f"`bptt` cannot go back through `{load.buffer}`, read at a delay that changes",
                load.span or self.routine.span,
                "read it at a delay that stays the same",
            )
        if moment.section == "step" and (present := self._present(load)) is not None:
            key = ("step", self._since(moment.at(len(self.parts["step"])), present.buffer), present)
            self.kept.setdefault(key, self._keep(present, "step", key[1])).before = True
            return self._read(self.kept[key], replace(moment, back=moment.back + 1), present)
        key = (moment.section, self._since(moment, load.buffer), load)
        if key not in self.kept:
            self.kept[key] = self._keep(load, *key[:2])
        return self._read(self.kept[key], moment, load)

    def _present(self, load: Load) -> Load | None:
        """Of what a variable was at the end of the step before: a read of its present value."""
        held = self.context.buffers[load.buffer]
        name = self.context.named.get(Key(held.of)) if held.tag == PREV and load.ago == 0 else None
        if name is None or self.steps < 2:
            return None
        present = self.context.buffers[name]
        if present.slots > 1 or present.place is not Place.UNIT or held.place is not Place.UNIT:
            return None
        ops = self.parts["step"]
        taken = [n for n, op in enumerate(ops) if load.buffer in op.writes]
        stored = [n for n, op in enumerate(ops) if name in op.writes]
        copied = len(taken) == 1 and ops[taken[0]] == Copy(load.buffer, name)
        return replace(load, buffer=name) if copied and stored and taken[0] < stored[0] else None

    def _read(self, kept: Kept, moment: Moment, load: Load | None = None) -> Load:
        """The slot of a moment."""
        ago: int | Expr = moment.back
        if moment.loops:
            ago = Apply("add", (_STEP, Const(float(moment.back)))) if moment.back else _STEP
        if load is None:
            return Load(kept.name, ago=ago)
        return replace(load, buffer=kept.name, ago=ago)

    def _counted(self, moment: Moment, load: Load) -> Expr:
        """A counter of the step that is reversed: it ran up to the end of the phase since."""
        back: Expr = Const(float(moment.back + 1))
        if moment.loops:
            back = Apply("add", (_STEP, back))
        end: Expr = load if load == _CLOCK else Const(float(self.steps))
        return Apply("sub", (end, back), load.span)

    def _since(self, moment: Moment, buffer: str) -> int:
        """The position right behind the last store before a moment."""
        ops = self.parts[moment.section][: moment.index]
        return max((n + 1 for n, op in enumerate(ops) if buffer in op.writes), default=0)

    def _keep(self, load: Load, section: str, index: int) -> Kept:
        held = self.context.buffers[load.buffer]
        if held.place not in _KEPT:
            raise self.weights_change()
        when = "at each step" if section == "step" and self.steps > 1 else "as it was"
        why = f"`{held.of or held.name}` {when}, for the reverse sweep"
        place, owner = self._where(held)
        name = self.context.scratch(f"{load.buffer}@then", place, owner, why)
        self.context.buffers[name] = replace(self.context.buffers[name], type=held.type)
        return Kept(section, index, owner, load, (), name)

    def _where(self, held: Buffer) -> tuple[Place, str]:
        """Place and owner of what keeps a buffer: one number is kept for each sample."""
        owner = held.owner or next(iter(self.context.network.populations))
        return (Place.ROW if held.place is Place.GLOBAL else held.place), owner

    # -- the phase ----------------------------------------------------------------------------

    def recorded(self, sweeps: Iterable[Op]) -> Routine:
        """The routine with operations that keep what the sweeps read, of as many steps."""
        slots = self._slots(sweeps)
        kept = [one for one in self.kept.values() if one.name in slots]
        if not kept:
            return self.routine
        for one in kept:
            one.slots = slots[one.name] + (one.before and slots[one.name] >= self.steps)
            held = self.context.buffers[one.name]
            bits = one.slots > 1 and held.type is Type.BOOL and held.place is Place.UNIT
            self.context.buffers[one.name] = replace(held, slots=one.slots, packed=bits)
        once, step, after = (tuple(self.keeping(name, kept)) for name in SECTIONS)
        return replace(self.routine, once=once, step=step or self.routine.step, after=after)

    def _slots(self, sweeps: Iterable[Op]) -> dict[str, int]:
        """Of how many steps the sweeps read each value."""
        ops = tuple(sweeps)
        found = {name: 1 for op in ops for name in op.reads}
        for op in ops:
            for node in (node for expr in expressions(op) for node in walk(expr)):
                if isinstance(node, Load):
                    slots = self.steps if isinstance(node.ago, Expr) else node.ago + 1
                    found[node.buffer] = max(found[node.buffer], slots)
        return found

    def keeping(self, section: str, kept: list[Kept]) -> Iterator[Op]:
        """The operations of a section, with those that keep values."""
        ops = self.parts[section]
        for index in range(len(ops) + 1):
            for one in kept:
                if (one.section, one.index) == (section, index):
                    yield from self.record(one)
            yield from ops[index : index + 1]
        for one in kept:
            if section == "once" and one.before and one.slots > self.steps:
                yield from self.record(one)

    def record(self, kept: Kept) -> Iterator[Op]:
        """Keep a value as it is now."""
        buffers, source = self.context.buffers, ""
        if isinstance(kept.value, Load):
            held = buffers[kept.value.buffer]
            if held.slots == 1 and held.place is not Place.GLOBAL:
                source = held.name
        if not source:
            held = buffers[kept.name]
            source = kept.name
            if kept.slots > 1:
                hint = f"{kept.name}.now"
                source = self.context.scratch(hint, held.place, kept.owner, "what is to be kept")
                buffers[source] = replace(buffers[source], type=held.type)
            statements: tuple[Statement, ...] = (*kept.binds, Store(source, kept.value))
            yield Elementwise(kept.owner, statements, label=f"keep {kept.owner}")
        if source != kept.name:
            yield Push(kept.name, source) if kept.slots > 1 else Copy(kept.name, source)


def runs(ops: Iterable[Op]) -> Iterator[Op]:
    """The operations, those over cells cut behind each reduction: no bound name crosses one."""
    for op in ops:
        if not isinstance(op, Elementwise):
            yield op
            continue
        statements: list[Statement] = []
        for statement in op.statements:
            statements.append(statement)
            if statement.ends_loop:
                yield replace(op, statements=tuple(statements))
                statements = []
        if statements:
            yield replace(op, statements=tuple(statements))


def changes_weights(op: Op) -> bool:
    """Is an operation a pass that learns?"""
    return bool(getattr(op, "sums", ()))
