"""The dynamic twin of the certificate: what a rule does not read must not change its update.

One learning step (a step of a learning phase, or an `update`) is run twice from the same state, the
second time with everything changed that the data flow says the rule cannot see. Weights, optimiser
and rule states of the rule must then be bit-identical. Where the certificate says that no sample
enters what another one changes, the changes must also add up over samples (`additive`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netdsl.dataflow.flow import FlowGraph
from netdsl.ir.network import Place, Projection, Rule, Type
from netdsl.ir.program import Buffer
from netdsl.ir.protocol import Each, Push, RunPhase, Step, Update, steps_of
from netdsl.locality.reach import reach

if TYPE_CHECKING:
    from netdsl.runtime.engine import Interpreter
    from netdsl.runtime.model import Model

Array = NDArray[Any]
ROWS = 4
WARM_UP = 2  # steps before the one that is tested, so that delayed values have arrived
ROLES = frozenset(
    {"state", "input", "parameter", "snapshot", "accumulator", "weight", "optimiser", "modulator"}
)


@dataclass(frozen=True)
class Trial:
    """One learning step of one rule: what was changed, and what of its own came out different."""

    rule: str
    projection: str
    where: str
    changed: tuple[str, ...]
    differing: tuple[str, ...]
    moved: bool  # the step changed the weights at all
    samples: bool = False  # whether what was changed are samples, so that changes must add up


@dataclass(frozen=True)
class Report:
    """All trials of a model."""

    trials: tuple[Trial, ...]

    @property
    def ok(self) -> bool:
        """Every update stayed as it was, and something was changed for each rule."""
        tested = {(t.rule, t.projection) for t in self.trials if t.changed}
        return all((t.rule, t.projection) in tested and not t.differing for t in self.trials)

    def render(self) -> str:
        """One line per trial."""
        if not self.trials:
            return "perturbation: nothing to test (no rule learns, or only by bptt)"
        return "\n".join(_line(trial) for trial in self.trials)


def _line(trial: Trial) -> str:
    head = f"perturbation: {trial.projection} ({trial.rule}, {trial.where})"
    if trial.samples:
        return f"{head}: {_added(trial)}"
    if trial.differing:
        return f"{head}: {', '.join(trial.differing)} depend on what the certificate excludes"
    if not trial.changed:
        return f"{head}: the step may read everything that there is, so that nothing is tested"
    still = "" if trial.moved else "; no weight moved in this step"
    return f"{head}: {len(trial.changed)} quantities changed, update identical{still}"


def _added(trial: Trial) -> str:
    if trial.differing:
        return f"what one sample changes of {', '.join(trial.differing)} depends on the others"
    if not trial.moved:
        return "no sample changes anything, so that nothing is tested"
    return f"one sample's {len(trial.changed)} quantities changed, changes add up over samples"


def perturb_model(model: Model, seed: int = 0) -> Report:
    """Test every rule of a model at its first learning step, on drawn samples.

    The model's state is overwritten. Raises what running a protocol raises.
    """
    from netdsl.tools.additive import Samples, bare

    model.single("`check --perturb`")
    trials = [*_trials(model, seed, Bench)]
    plain = bare(model)
    if plain is not None:
        trials += _trials(plain, seed, Samples)
    return Report(tuple(trials))


def _trials(model: Model, seed: int, kind: type[Bench]) -> list[Trial]:
    from netdsl.streams.draws import row_key

    trials: list[Trial] = []
    for protocol in model.network.protocols.values():
        body = _learning_body(protocol.body)
        if not body:
            continue
        replays = (m.size for m in model.network.memories.values() if m.kind == "replay")
        model.reserve(max(ROWS, *replays, ROWS))
        session = model.session
        for name, default in protocol.parameters:
            if default is not None:
                session.host[name] = session.evaluate(default)
        generator = np.random.default_rng(seed)
        session.load(_fields(model, generator), row_key(0, 0, np.arange(ROWS)), 0, 0)
        tester = _interpreter(model, generator, kind(model, generator, trials))
        tester.block(body)
    return trials


def _learning_body(body: tuple[Step, ...]) -> tuple[Step, ...]:
    """What the innermost loop in which something learns repeats; without one, all of a protocol."""
    found = body if learns(body) else ()
    for step in steps_of(body):
        if isinstance(step, Each) and learns(step.body):
            found = step.body
    return found


def learns(body: tuple[Step, ...]) -> bool:
    """Does something learn in a block?"""
    return any(
        isinstance(step, Update) or (isinstance(step, RunPhase) and bool(step.learning))
        for step in steps_of(body)
    )


def _fields(model: Model, generator: np.random.Generator, rows: int = ROWS) -> dict[str, Array]:
    """Random samples of every field that the program reads."""
    program = model.program
    fields: dict[str, Array] = {}
    for buffer in program.buffers.values():
        if buffer.role == "sample" and not buffer.tag:
            field = model.network.table[buffer.of].name
            if buffer.slots > 1:
                shape = (rows, buffer.slots, program.sizes[buffer.owner])
                fields[field] = generator.random(shape)
            elif buffer.place is Place.UNIT:
                fields[field] = generator.random((rows, program.sizes[buffer.owner]))
            else:
                fields[field] = np.arange(rows) % 2
    return fields or {"label": np.arange(rows) % 2}


def _interpreter(model: Model, generator: np.random.Generator, bench: Bench) -> Interpreter:
    from netdsl.runtime.engine import Interpreter
    from netdsl.streams.draws import row_key

    class Tester(Interpreter):
        """Runs the loop's body, with a trial at every place where something learns."""

        def block(self, steps: tuple[Step, ...]) -> None:
            for step in steps:
                if isinstance(step, Update):
                    self.tested(step)
                else:
                    super().block((step,))

        def push(self, step: Push) -> None:
            """Random samples in all slots of a replay."""
            memory = self.session.network.memories[step.memory]
            if memory.kind == "replay":
                keys = row_key(0, 0, np.arange(memory.size))
                self.session.load(_fields(model, generator, memory.size), keys, 0, 0)
            if step.site in self.session.program.routines:
                self.session.executor.call(step.site)
            self.session.set_host(f"{memory.name}.full", 1.0)

        def tested(self, step: Update) -> None:
            def call() -> None:
                self.session.executor.call(step.site)

            bench.test(call, step.projections, "update", "update")

    def phase(step: RunPhase, steps: int) -> None:
        executor = model.session.executor
        tested = min(WARM_UP, steps - 1)
        for index in range(steps):
            last = index + 1 if index + 1 < steps else None

            def call(index: int = index, last: int | None = last) -> None:
                executor.call(step.site, steps, index, last)

            if index == tested and step.learning:
                bench.test(call, tuple(sorted(step.learning)), "step", f"phase {step.name}")
            else:
                call()
        if steps == 0:
            executor.call(step.site, 0)

    tester = Tester(model.session, model.datasets, label="perturbation")
    tester.phase = phase
    return tester


class Bench:
    """Runs one call with and without changes, for each rule in turn."""

    def __init__(self, model: Model, generator: np.random.Generator, trials: list[Trial]) -> None:
        self.model, self.generator, self.trials = model, generator, trials
        self.graph = FlowGraph(model.network)
        sources = [p.mask_of for p in model.network.projections.values() if p.mask_of is not None]
        self.masks = {model.network.projections[name].weight for name in sources}

    def test(
        self, call: Callable[[], None], projections: tuple[str, ...], clock: str, where: str
    ) -> None:
        """Make the trials of one learning step, then take the step."""
        executor = self.model.session.executor
        before = {name: executor.read(name) for name in self.model.program.buffers}
        lively = self._lively(before)
        for name in projections:
            projection = self.model.network.projections[name]
            rule = projection.rule
            # The derivative of a loss reads whatever stands before the loss: nothing is excluded.
            if rule is not None and rule.clock == clock and rule.loss is None:
                self.trial(call, lively, projection, rule, where)
        self.restore(before)
        call()

    def trial(
        self,
        call: Callable[[], None],
        before: dict[str, Array],
        projection: Projection,
        rule: Rule,
        where: str,
    ) -> None:
        executor = self.model.session.executor
        own = tuple(self._own(projection, rule))
        self.restore(before)
        call()
        plain = {name: executor.read(name) for name in own}
        changed = tuple(self._unseen(projection, rule))
        self.restore(before)
        for name in changed:
            self._change(self.model.program.buffers[name], before[name])
        call()
        differing = tuple(n for n in own if executor.read(n).tobytes() != plain[n].tobytes())
        moved = any(plain[n].tobytes() != before[n].tobytes() for n in own)
        self.trials.append(Trial(rule.name, projection.name, where, changed, differing, moved))

    def _lively(self, values: dict[str, Array]) -> dict[str, Array]:
        """The state with activity drawn for every unit: at rest too little would change."""
        drawn = dict(values)
        for name, buffer in self.model.program.buffers.items():
            if buffer.place in (Place.UNIT, Place.ROW) and buffer.role in ROLES:
                value = self.generator.random(values[name].shape)
                drawn[name] = np.round(value) if buffer.type is Type.BOOL else value
        return drawn

    def restore(self, values: dict[str, Array]) -> None:
        for name, value in values.items():
            self.model.session.executor.write(name, value)

    def _own(self, projection: Projection, rule: Rule) -> Iterator[str]:
        optimiser = rule.optimiser.variables if rule.optimiser is not None else {}
        paths = (projection.weight or "", *rule.variables, *optimiser)
        found = (self.model.program.find(path) for path in paths)
        yield from (name for name in found if name is not None)

    def _unseen(self, projection: Projection, rule: Rule) -> Iterator[str]:
        buffers = self.model.program.buffers
        kept = frozenset(str(b.key) for b in buffers.values() if b.key is not None)
        seen = reach(self.graph, projection, rule, kept)
        for name, buffer in buffers.items():
            known = buffer.of in self.model.network.table and buffer.role in ROLES
            met = {str(buffer.key), buffer.of} & seen
            if known and buffer.place is not Place.GLOBAL and not met:
                yield name

    def _change(self, buffer: Buffer, value: Array) -> None:
        shape = value.shape
        if buffer.type is Type.BOOL:
            new = 1.0 - value
        elif buffer.of in self.masks:  # another projection reads which synapses are present
            new = value * self.generator.uniform(0.5, 1.5, shape)
        else:
            new = value + self.generator.uniform(0.5, 1.5, shape)
        self.model.session.executor.write(buffer.name, new)
