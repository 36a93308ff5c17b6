"""Which loops of a protocol can be captured: every batch is the same list of calls.

Nothing in their bodies is decided by values that a batch leaves behind or that differ between
batches, so that an executor can run many batches in one call (`netdsl.backends.chunks`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from netdsl.backends.base import Executor
from netdsl.backends.chunks import Action, Assign, Call, Plan
from netdsl.ir.expr import Apply, Const, Expr, Ref, walk
from netdsl.ir.network import Place
from netdsl.ir.places import slot_shape
from netdsl.ir.program import Key
from netdsl.ir.protocol import Choose, Clamp, Push, Reset, RunPhase, SetState, Step, Update
from netdsl.passes.lower.readout import SETTLE
from netdsl.runtime.errors import RunFault
from netdsl.runtime.session import Session

_VARYING = ("batch.index", "batch.rows")  # what the host counts within a loop
ROWWISE = (Place.ROW, Place.UNIT)
_SMALL = (*ROWWISE, Place.NEURON, Place.GLOBAL)


class _Uncaptured(Exception):
    """A loop that is run batch by batch."""


@dataclass(frozen=True)
class Captured:
    """A loop's plan. `kept`: the buffer of each value that is to be put aside after every batch;
    `fields`: the field of each value that a sample has; all else that is read is constant.
    `replay`: the memory whose slots are the rows, if any; `pushed`: all that are pushed. `phases`:
    does a phase run?
    """

    plan: Plan
    kept: Mapping[Key, str]
    fields: Mapping[Key, str]
    replay: str = ""
    pushed: tuple[str, ...] = ()
    phases: bool = True


def capture(
    session: Session,
    body: tuple[Step, ...],
    clamps: Mapping[str, Clamp],
    reads: Iterable[Key] = (),
) -> Captured | None:
    """The plan of a loop's body as the host's values are now; None where it cannot be captured.

    `clamps` are in force around the loop; `reads` are values wanted after every batch.
    """
    # Whoever stands in for an executor wants to see every call.
    if not isinstance(session.executor, Executor) or "call" in vars(session.executor):
        return None
    try:
        made = _Body(session, clamps)
        actions = made.of(body)
        called = {action.routine for action in actions if isinstance(action, Call)}
        if any(session.program.routines[name].parts for name in called):
            return None  # each of these is several calls, with counters set in between
        kept, fields = _reads(session, reads, actions)
        if any(key.tag == "settled" for key in kept) and SETTLE in session.program.routines:
            actions.append(Call(SETTLE))
        plan = Plan(_fed(session), _numbers(session), _starts(session, actions), _once(kept))
    except _Uncaptured:
        return None
    return Captured(plan, kept, fields, made.replay, tuple(made.pushed), made.phases)


def _once(kept: Mapping[Key, str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(kept.values()))


class _Body:
    """The actions of statements, in order."""

    def __init__(self, session: Session, clamps: Mapping[str, Clamp]) -> None:
        self._session, self._clamps = session, dict(clamps)
        self._actions: list[Action] = []
        self.replay, self.phases = "", False
        self.pushed: list[str] = []

    def of(self, body: tuple[Step, ...]) -> list[Action]:
        self._block(body)
        return self._actions

    def _block(self, steps: tuple[Step, ...]) -> None:
        outer = dict(self._clamps)
        for step in steps:
            self._step(step)
        self._clamps = outer

    def _step(self, step: Step) -> None:
        if isinstance(step, Reset):
            self._actions += [Call(name) for name in self._session.resets(step.targets)]
            self._actions += [Call(clamp.site) for clamp in self._clamps.values()]
        elif isinstance(step, Clamp):
            self._clamps[step.target] = step
            self._actions.append(Call(step.site))
        elif isinstance(step, SetState | Update):
            self._actions.append(Call(step.site))
        elif isinstance(step, RunPhase):
            self._phase(step)
        elif isinstance(step, Push):
            self._push(step)
        elif isinstance(step, Choose):
            chosen = step.then if self._value(step.condition) else step.otherwise
            self._block(chosen)
        else:
            raise _Uncaptured

    def _push(self, step: Push) -> None:
        """What is full stays so. The slots of a replay are the rows of all that follows."""
        memory = self._session.network.memories[step.memory]
        if self._session.memories[step.memory].count < memory.size:
            raise _Uncaptured
        self.pushed.append(step.memory)
        if step.site in self._session.program.routines:
            self._actions.append(Call(step.site))
        if memory.kind == "replay":
            if self.replay or self._actions:
                raise _Uncaptured
            self.replay = step.memory

    def _phase(self, step: RunPhase) -> None:
        steps = int(self._value(step.steps))
        if steps < 0:
            raise _Uncaptured
        before = [(path, self._session.host[path]) for path, _ in step.controls]
        during = [(path, self._value(value)) for path, value in step.controls]
        during += self._session.told_steps(step, steps)
        self._assign(during)
        self.phases = True
        self._actions.append(Call(step.site, steps))
        self._assign(before)

    def _assign(self, values: list[tuple[str, float]]) -> None:
        program = self._session.program
        for path, value in values:
            name = program.find(path)
            if name is not None and program.buffers[name].place is Place.GLOBAL:
                self._actions.append(Assign(name, value))

    def _value(self, expr: Expr) -> float:
        """The value of an expression that is the same for every batch."""
        for node in walk(expr):
            steady = isinstance(node, Ref) and self._session.on_host(Key(node.path))
            if isinstance(node, Ref) and steady and node.path not in _VARYING:
                continue
            if isinstance(node, Apply) and node.function != "random_sign":
                continue
            if not isinstance(node, Const):
                raise _Uncaptured
        return self._session.evaluate(expr)


def _fed(session: Session) -> tuple[str, ...]:
    """The buffers that take a batch's fields."""
    found = tuple(buffer for buffer, _ in session.sample_buffers)
    if any(buffer.slots > 1 or buffer.place not in ROWWISE for buffer in found):
        raise _Uncaptured
    return tuple(buffer.name for buffer in found)


def _numbers(session: Session) -> tuple[str, ...]:
    """GLOBAL buffers that are assigned with every batch: its number, and what the host sums."""
    program = session.program
    index = program.find("batch.index")
    own = () if index is None or program.buffers[index].place is not Place.GLOBAL else (index,)
    return (*own, *program.host_scalars)


def _starts(session: Session, actions: list[Action]) -> tuple[Action, ...]:
    """The actions of a batch, which begins with counters of steps at 0."""
    counters = session.step_counters
    if any(session.program.buffers[name].slots > 1 for name in counters):
        raise _Uncaptured
    return (*(Assign(name, 0.0) for name in counters), *actions)


def _reads(
    session: Session, reads: Iterable[Key], actions: Iterable[Action]
) -> tuple[dict[Key, str], dict[Key, str]]:
    program = session.program
    called = [program.routines[action.routine] for action in actions if isinstance(action, Call)]
    written = {name for routine in called for op in routine.ops for name in op.writes}
    kept: dict[Key, str] = {}
    fields: dict[Key, str] = {}
    for key in dict.fromkeys(reads):
        if session.on_host(key):
            if key.of in _VARYING:
                raise _Uncaptured
            continue
        field = "" if key.tag else session.field_of(key.of)
        if field:
            fields[key] = field
            continue
        name = _buffer(session, key)
        buffer = program.buffers[name]
        changes = buffer.place in ROWWISE or name in written or key.tag == "settled"
        if not changes:
            continue
        if buffer.slots > 1 or buffer.place not in _SMALL:
            raise _Uncaptured
        kept[key] = name
    return kept, fields


def _buffer(session: Session, key: Key) -> str:
    try:
        return session.buffer_of(key)
    except RunFault:
        raise _Uncaptured from None


def kept_bytes(session: Session, plan: Plan, rows: int) -> int:
    """Bytes that a plan keeps of each batch, of so many samples, and what reading them takes."""
    shapes = (slot_shape(name, session.program, rows) for name in plan.kept)
    numbers = 0
    for shape in shapes:
        size = 1
        for extent in shape:
            size *= extent
        numbers += size
    return 16 * numbers
