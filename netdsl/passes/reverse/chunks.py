"""What a phase keeps for its sweeps: values of all its steps, or where chunks of them begin.

To recompute, the phase keeps its states at the start of each chunk. Its `update` goes back to each
in turn, the last one first, runs the chunk again on copies of the states, now keeping what the
slopes read of each step, and reverses it (checkpoints as in Chen and others, 2016, of one level).
Draws are functions of the step, so they come out the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import ceil, isqrt

from netdsl.diagnostics.span import Span
from netdsl.ir.expr import Apply, Const, Expr, Load, loads, transform
from netdsl.ir.network import Place
from netdsl.ir.places import packed_bytes
from netdsl.ir.program import Buffer, Elementwise, Op, Push, Routine, Store
from netdsl.ir.roles import mapped, renamed
from netdsl.passes.errors import LoweringError
from netdsl.passes.lower.context import Context
from netdsl.passes.reverse.tape import COUNTERS, Tape

AUTO, STORE, RECOMPUTE = "auto", "store", "recompute"
KEEPS = (AUTO, STORE, RECOMPUTE)
_MOST = 2**28  # bytes that are stored without a thought
_FEW = 32  # steps that are stored without a thought
_STEP, _CLOCK = COUNTERS


class Stored(Exception):
    """Why what is kept of each step has to be stored."""


@dataclass
class Again:
    """A phase that is run again in chunks, and the buffers that this takes."""

    context: Context
    tape: Tape
    names: dict[str, str] = field(default_factory=dict)  # what stands for a buffer meanwhile
    marks: dict[tuple[str, int], str] = field(default_factory=dict)  # by buffer and slot

    def __post_init__(self) -> None:
        every = self.tape.kept.values()
        self.stepped = [kept for kept in every if kept.section == "step"]
        self.slotted = [kept for kept in self.stepped if kept.slots > 1]
        self.rest = [kept for kept in every if kept.section != "step"]
        self.names_kept = {kept.name for kept in self.stepped}
        self.body = tuple(_needed(tuple(self.tape.keeping("step", self.stepped)), self.names_kept))
        self.carried = self._carried()

    def _carried(self) -> list[Buffer]:
        """What a step reads that it, an earlier step or the phase's end overwrites."""
        buffers, seen = self.context.buffers, dict[str, bool]()
        for kept in self.slotted:
            if kept.before:
                seen.update(dict.fromkeys(loads(kept.value), True))
        for op in self.body:
            for name in sorted(op.reads | op.writes):
                access = op.first_access(name, buffers[name].owner)
                seen.setdefault(name, access != "overwrites" or buffers[name].slots > 1)
        ops = (*self.body, *self.tape.parts["after"])
        changed = frozenset[str]().union(*(op.writes for op in ops)) - self.names_kept
        found = [buffers[name] for name, read in seen.items() if read and name in changed]
        for held in found:
            if held.place not in (Place.UNIT, Place.ROW):
                raise Stored(f"`{held.of or held.name}` changes in it and is no number of a sample")
        return found

    # -- sizes --------------------------------------------------------------------------------

    def step_bytes(self) -> int:
        """Bytes that one step takes of one sample, at most."""
        return sum(self._bytes(self.context.buffers[kept.name]) for kept in self.slotted)

    def mark_bytes(self) -> int:
        """Bytes that one mark takes of one sample."""
        return sum(self._bytes(held) * held.slots for held in self.carried)

    def _bytes(self, held: Buffer) -> int:
        size = 1 if held.place is Place.ROW else self.context.size(held.owner)
        return packed_bytes(size) if held.packed else 4 * size

    def chunk(self, ahead: int) -> int:
        """How many steps a chunk has, so that marks and steps together take the least; more than
        are reversed ahead of the loop."""
        best = isqrt(ceil(self.tape.steps * max(self.mark_bytes(), 1) / max(self.step_bytes(), 1)))
        return min(max(ahead + 1, best, 2), self.tape.steps)

    # -- routines -----------------------------------------------------------------------------

    def routines(self, update: Routine) -> dict[str, Routine]:
        """The phase, the update and their parts, by name."""
        ahead = update.whole - update.steps
        phase, chunk = self.tape.routine, self.chunk(ahead)
        buffers = self.context.buffers
        count = ceil(self.tape.steps / chunk)
        changed = frozenset[str]().union(*(op.writes for op in self.body)) - self.names_kept
        for name in sorted(changed | {held.name for held in self.carried}):
            why = f"`{buffers[name].of or name}` while its phase is run again"
            self.names[name] = self._like(buffers[name], f"{name}@again", why)
        for kept in self.slotted:
            held = buffers[kept.name]
            buffers[kept.name] = replace(held, slots=chunk + kept.before)
        mark = tuple(op for held in self.carried for op in self._mark(held, count))
        restore = [op for held in self.carried for op in self._restore(held)]
        for kept in self.slotted:
            if kept.before:
                restore += [self._renamed(op) for op in self.tape.record(kept)]
        again = tuple(self._renamed(op) for op in self.body)
        back = tuple(self._back(op, chunk, ahead) for op in update.step)
        once = (*self.tape.keeping("once", self.rest), *mark)
        after = tuple(self.tape.keeping("after", self.rest))
        parts = {
            f"{phase.name}:mark": mark,
            f"{update.name}:restore": tuple(restore),
            f"{update.name}:again": again,
            f"{update.name}:begin": update.once,
            f"{update.name}:back": back,
        }
        first, *others = parts
        made = {name: Routine(name, "part", once=ops, span=update.span)
                for name, ops in parts.items()}  # fmt: skip
        for name in (others[1], others[3]):
            made[name] = replace(made[name], once=(), step=parts[name])
        made[phase.name] = replace(phase, once=once, after=after, chunk=chunk, parts=(first,))
        made[update.name] = replace(
            update, once=update.after, step=(), after=(), steps=0, chunk=chunk,
            parts=tuple(others), ahead=ahead,
        )  # fmt: skip
        return made

    def _renamed(self, op: Op) -> Op:
        return renamed(op, lambda name: self.names.get(name, name))

    def _like(self, held: Buffer, hint: str, why: str, slots: int | None = None) -> str:
        """A scratch buffer of the same shape."""
        owner = held.owner or next(iter(self.context.network.populations))
        name = self.context.scratch(hint, held.place, owner, why)
        made = replace(self.context.buffers[name], type=held.type)
        rings = replace(made, slots=held.slots, packed=held.packed)
        alone = replace(made, slots=slots or 1)
        self.context.buffers[name] = rings if slots is None else alone
        return name

    def _mark(self, held: Buffer, count: int) -> Iterator[Op]:
        """Keep what a buffer, or each slot of it, holds where a chunk begins."""
        owner = held.owner or next(iter(self.context.network.populations))
        why = f"`{held.of or held.name}` where each chunk of steps begins"
        for ago in range(held.slots):
            name = self.marks[held.name, ago] = self._like(held, f"{held.name}@mark", why, count)
            source = held.name
            if held.slots > 1:
                source = self._like(held, f"{held.name}@now", "what is to be kept", 1)
                load = Load(held.name, ago=ago)
                yield Elementwise(owner, (Store(source, load),), label=f"mark {owner}")
            yield Push(name, source)

    def _restore(self, held: Buffer) -> Iterator[Op]:
        """What stands for a buffer holds what the buffer did at mark `phase.step`."""
        owner = held.owner or next(iter(self.context.network.populations))
        for ago in range(held.slots - 1, -1, -1):
            target = self.names[held.name]
            if held.slots > 1:
                target = self._like(held, f"{held.name}@now", "what was kept", 1)
            load = Load(self.marks[held.name, ago], ago=_STEP)
            yield Elementwise(owner, (Store(target, load),), label=f"restore {owner}")
            if held.slots > 1:
                yield Push(self.names[held.name], target)

    def _back(self, op: Op, chunk: int, ahead: int) -> Op:
        """A reversed operation, which finds a step where its chunk keeps it, and the time as if
        the phase had ended now."""
        here = Apply("add", (_STEP, Const(float(ahead)))) if ahead else _STEP
        here = Apply("mod", (here, Const(float(chunk))))

        def visit(node: Expr) -> Expr | None:
            if node == _CLOCK:
                return Apply("sub", (_CLOCK, _STEP))
            if not isinstance(node, Load) or node.buffer not in self.names_kept:
                return None
            if not isinstance(node.ago, Expr):
                return node
            far = node.ago.args[1] if isinstance(node.ago, Apply) else Const(0.0)
            assert isinstance(far, Const)
            beyond = far.value - ahead
            return replace(node, ago=Apply("add", (here, Const(beyond))) if beyond else here)

        return mapped(op, lambda expr: transform(expr, visit))


def _needed(ops: tuple[Op, ...], wanted: Iterable[str]) -> Iterator[Op]:
    """What of the operations of a step makes some buffers, in this step or a later one."""
    needed = set(wanted)
    while True:
        before = len(needed)
        for op in reversed(ops):
            needed |= _part(op, needed).reads if op.writes & needed else set()
        if len(needed) == before:
            break
    yield from (_part(op, needed) for op in ops if op.writes & needed)


def _part(op: Op, needed: set[str]) -> Op:
    """The statements over cells that make some buffers; other operations as a whole."""
    return op.without(lambda s: bool(s.writes) and not s.writes & needed)


def choose(
    context: Context,
    tape: Tape,
    updates: Sequence[Routine],
    whole: Routine,
    changed: Callable[[Iterable[Op]], str],
    span: Span | None,
) -> dict[str, Routine]:
    """The phase and what else takes the place of routines, all of its steps stored (`whole`) or
    run again in chunks. `updates` go back through it. `changed` names what is changed before they
    do, of that which some operations read.

    Raises LoweringError E0806 where chunks were asked for and cannot be.
    """
    phase, keep = tape.routine.phase, context.keep
    try:
        again = Again(context, tape)
        rows = max((data.batch for data in context.network.data.values()), default=1)
        stored = rows * tape.steps * again.step_bytes()
        if keep == STORE:
            raise Stored("as asked")
        if not again.slotted:
            raise Stored("the reversed steps read nothing of them")
        if not updates[0].step or (keep == AUTO and tape.steps <= _FEW):
            raise Stored("there are few of them")
        if len(updates) != 1:
            raise Stored("several `update`s go back through it")
        if keep == AUTO and stored <= _MOST:
            raise Stored(f"that takes {stored / 2**20:.1f} MiB")
        if name := changed(again.body):
            raise Stored(f"a statement before the `update` changes `{name}`")
        made = again.routines(updates[0])
    except Stored as why:
        if keep == RECOMPUTE:
            raise LoweringError(
                "E0806",
                f"phase `{phase}` cannot be run again in chunks: {why}",
                span,
                "leave out `--keep recompute`, and what the slopes read is stored",
            ) from None
        text = f"phase {phase}: what reversed steps read is stored at each of {tape.steps} steps"
        return {whole.name: replace(whole, kept=f"{text}: {why}")}
    chunk = made[tape.routine.name].chunk
    marks = rows * again.mark_bytes() * ceil(tape.steps / chunk)
    sentence = (
        f"phase {phase}: run again in chunks of {chunk} of {tape.steps} steps by its update: "
        f"{(marks + stored * chunk / tape.steps) / 2**20:.1f} MiB are kept of states and steps, "
        f"not {stored / 2**20:.1f} MiB of all steps"
    )
    return {**made, tape.routine.name: replace(made[tape.routine.name], kept=sentence)}
