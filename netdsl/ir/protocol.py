"""Data, protocols, readouts and metrics of a network, with expressions resolved.

Every step that needs code carries a `site`, unique in the network ("train.3"): the name of its
routine in the step program.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from netdsl.diagnostics.span import Span
from netdsl.ir.expr import Apply, Expr, Ref

if TYPE_CHECKING:
    from netdsl.ir.augment import Operation
    from netdsl.ir.task import Task, TaskField


FULL = "full"  # `past.full`: as often pushed as it has slots, since it was emptied


@dataclass(frozen=True)
class Data:
    """`data NAME { source = ...; batch = ...; split a = train[0, 100] }`."""

    name: str
    source: str
    batch: int
    eval_batch: int
    shuffle: bool = False
    partial: str = "keep"  # keep | drop
    splits: Mapping[str, tuple[str, int | None, int | None]] = field(default_factory=dict)
    # split name -> (source split, first, past last)
    settings: Mapping[str, object] = field(default_factory=dict)  # mean, std, ...
    span: Span | None = field(default=None, compare=False)
    task: Task | None = None  # generated: `task NAME { … }`
    fields: tuple[TaskField, ...] = ()  # of each sample: all of a task's, what others get besides
    augment: Mapping[str, tuple[Operation, ...]] = field(default_factory=dict)  # by split


@dataclass(frozen=True)
class Pairs:
    """`pairs NAME = KIND(DATA, setting = value)`: rows double, the second half negative."""

    name: str
    kind: str  # wrong_label | mixed_image
    data: str
    settings: Mapping[str, float] = field(default_factory=dict)
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class SplitRef:
    """`digits.train`, `streams.train`, or a protocol's data argument (`parameter` set)."""

    source: str
    split: str
    parameter: str | None = None


@dataclass(frozen=True)
class Each:
    """`each epoch|iteration|batch|sample of SPLIT limit N { ... }`; the first two have no `of`.

    `counts`: what the limit is a number of, `kind` or, of batches, "sample".
    """

    kind: str
    of: SplitRef | None
    limit: Expr | None
    body: tuple[Step, ...]
    site: str = ""
    span: Span | None = field(default=None, compare=False)
    counts: str = ""


@dataclass(frozen=True)
class Reset:
    """`reset` (everything per-sample), `reset X, Y`."""

    targets: tuple[str, ...] = ()
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Push:
    """`push M`: the present sample, or present values, become the newest slot of a memory."""

    memory: str
    site: str = ""
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Forget:
    """`reset memory M`."""

    memory: str
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Clamp:
    """`clamp P.x = e`: bound at the start of every step until the enclosing block ends."""

    target: str
    value: Expr
    site: str = ""
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class SetState:
    """`set P.x := e`, once, between steps; inputs in `e` are settled. `x` may be a weight."""

    target: str
    value: Expr
    site: str = ""
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class SetGlobal:
    """`beta := e` for a `global state`. `random_sign()` is Apply("random_sign")."""

    target: str
    value: Expr
    site: str = ""
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class RunPhase:
    """`phase NAME n steps [learning [P, Q]] { control = e }`.

    `learning`: the projections whose step-clocked rules run (empty: none). `rows`: the replay whose
    slots the rows are ("": samples of a batch).
    """

    name: str
    steps: Expr
    learning: frozenset[str] = frozenset()
    controls: tuple[tuple[str, Expr], ...] = ()
    site: str = ""
    span: Span | None = field(default=None, compare=False)
    rows: str = ""


@dataclass(frozen=True)
class Update:
    """`update P, Q`: the update-clocked rules of these projections, together; `rows` as above."""

    projections: tuple[str, ...]
    site: str = ""
    span: Span | None = field(default=None, compare=False)
    rows: str = ""


@dataclass(frozen=True)
class Rewired:
    """What a rewiring does to one projection; expressions are over what is stored of a synapse.

    `weight`: its path. `present`: 1 where a synapse is alive; the others have no effect. `prune`:
    where it is closed. `share`: of the synapses to be opened, relative to other projections.
    `start`: the stored number of one that is opened.
    """

    projection: str
    weight: str
    present: Expr
    prune: Expr | None
    share: Expr
    start: Expr


@dataclass(frozen=True)
class Rewire:
    """`rewire NAME`: close synapses, then open `count` others at random, at most up to `budget`."""

    name: str
    over: tuple[Rewired, ...]
    count: Expr
    budget: Expr | None = None
    site: str = ""
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Evaluate:
    """`evaluate PROTOCOL(split) as NAME [from present state]`."""

    protocol: str
    args: tuple[SplitRef, ...]
    label: str
    from_present: bool = False
    limit: Expr | None = None
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class RunProtocol:
    """`run PROTOCOL(args, epochs = N)`: its statements, with counters of its own. `rounds`: how
    many epochs or iterations, if not its own number."""

    protocol: str
    args: tuple[SplitRef, ...] = ()
    rounds: Expr | None = None
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Checkpoint:
    """`checkpoint NAME by METRIC on LABEL`: keep the parameters of the best evaluation."""

    name: str
    metric: str
    on: str
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Restore:
    """`restore NAME`."""

    name: str
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Choose:
    """`when COND { ... } else { ... }` in a protocol, decided at run time on the host."""

    condition: Expr
    then: tuple[Step, ...]
    otherwise: tuple[Step, ...] = ()
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Repeat:
    """`repeat { ... } until c limit 20`."""

    body: tuple[Step, ...]
    until: Expr
    limit: Expr
    span: Span | None = field(default=None, compare=False)


Step = (
    Each
    | Reset
    | Push
    | Forget
    | Clamp
    | SetState
    | SetGlobal
    | RunPhase
    | Update
    | Rewire
    | Evaluate
    | RunProtocol
    | Checkpoint
    | Restore
    | Choose
    | Repeat
)


def steps_of(body: Iterable[Step]) -> Iterator[Step]:
    """All steps of a block and of the blocks in it, in order of the text."""
    for step in body:
        yield step
        if isinstance(step, Each | Repeat):
            yield from steps_of(step.body)
        elif isinstance(step, Choose):
            yield from steps_of(step.then)
            yield from steps_of(step.otherwise)


def known_full(condition: Expr) -> set[str]:
    """The memories that are full where a condition holds."""
    if isinstance(condition, Apply) and condition.function == "and":
        return set().union(*(known_full(arg) for arg in condition.args))
    if isinstance(condition, Ref) and condition.path.endswith(f".{FULL}"):
        return {condition.path.removesuffix(f".{FULL}")}
    return set()


@dataclass(frozen=True)
class Protocol:
    """A named schedule. `parameters`: (name, default or None); data arguments have no default."""

    name: str
    parameters: tuple[tuple[str, Expr | None], ...]
    body: tuple[Step, ...]
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Readout:
    """A per-sample value computed on the host after a block; may be a vector over a population."""

    name: str
    value: Expr
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Metric:
    """A number per evaluation. Readouts are already inlined in `value`.

    `every`/`after`: a clock of its own ("every 500 batches after update"); `on`: only for that
    evaluation label; `per_batch`: average of batch averages.
    """

    name: str
    value: Expr
    every: int | None = None
    on: str | None = None
    per_batch: bool = False
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Recorder:
    """`record VAR of [UNITS] every k step during PHASE in PROTOCOL on LABEL limit n samples`.

    `units`: () for all; `within`: only while the phases of that protocol run.
    """

    variable: str
    every: int = 1
    on: str | None = None
    limit: int | None = None
    span: Span | None = field(default=None, compare=False)
    units: tuple[int, ...] = ()
    during: str | None = None
    within: str | None = None


def reached(protocol: Protocol, protocols: Mapping[str, Protocol]) -> Iterator[Step]:
    """All steps of a protocol and of those that it runs, in the order in which they come."""
    for step in steps_of(protocol.body):
        yield step
        if isinstance(step, RunProtocol):
            yield from reached(protocols[step.protocol], protocols)


def records(recorder: Recorder, step: RunPhase) -> bool:
    """Does a recorder take values at the steps of this phase? Sites are named by their protocol."""
    here = recorder.within in (None, step.site.rpartition(".")[0])
    return here and recorder.during in (None, step.name)


def simulates(protocol: Protocol, protocols: Mapping[str, Protocol]) -> bool:
    """Does a protocol run phases without data: does no loop of it take samples?"""
    steps = tuple(reached(protocol, protocols))
    loops = any(isinstance(step, Each) and step.of is not None for step in steps)
    return not loops and any(isinstance(step, RunPhase) for step in steps)


def at(
    position: list[int], steps: tuple[Step, ...], protocols: Mapping[str, Protocol]
) -> tuple[str, ...] | None:
    """The protocols that are run at a position, the innermost last, or None where statements can be
    at no such place. A position is the index of a statement, of the pass through its loop (or 1 for
    the first branch), of a statement inside, and so on."""
    if not position:
        return ()
    if not all(isinstance(index, int) and index >= 0 for index in position):
        return None
    index, *inner = position
    if not inner:
        return () if index <= len(steps) else None  # behind the last one: all is done
    if index >= len(steps):
        return None
    step = steps[index]
    if isinstance(step, RunProtocol):
        found = at(inner, protocols[step.protocol].body, protocols)
        return None if found is None else (step.protocol, *found)
    count, *rest = inner
    if isinstance(step, Choose):
        return at(rest, step.then if count else step.otherwise, protocols) if count < 2 else None
    return at(rest, step.body, protocols) if isinstance(step, Each | Repeat) else None
