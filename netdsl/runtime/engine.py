"""The protocol interpreter: from `protocol` blocks to calls of routines.

It works on the host at the grain of batches, phases and updates; what happens within a step is the
executor's. The place in the protocol is kept as a list of indices, so that a run can be stopped
between two batches and taken up again at the same place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from netdsl.ir.protocol import (
    Checkpoint,
    Choose,
    Clamp,
    Each,
    Evaluate,
    Forget,
    Protocol,
    Push,
    Repeat,
    Reset,
    Restore,
    Rewire,
    RunPhase,
    RunProtocol,
    SetGlobal,
    SetState,
    SplitRef,
    Step,
    Update,
    steps_of,
)
from netdsl.runtime import sequence, simulation
from netdsl.runtime.chunks import BatchLoop
from netdsl.runtime.datasets import Batch, Datasets, Opened, evaluation_call
from netdsl.runtime.errors import RunFault
from netdsl.runtime.hooks import Hooks, Interrupted, Options, Place
from netdsl.runtime.keeping import keep
from netdsl.runtime.members import Found
from netdsl.runtime.memories import empty, push
from netdsl.runtime.rewiring import rewire
from netdsl.runtime.session import Session
from netdsl.runtime.supply import samples_of, supply_of

__all__ = ["Hooks", "Interpreter", "Interrupted", "Options", "Place"]

PhaseRunner = Callable[[RunPhase, int], None]


class Interpreter:
    """Runs one protocol on a session.

    `label` is "" for training, else the evaluation's. `place` continues a stopped run. `phase`
    replaces how a phase is run (recorders, fault finders and replays run it step by step).
    """

    def __init__(
        self,
        session: Session,
        datasets: Datasets,
        hooks: Hooks | None = None,
        options: Options | None = None,
        label: str = "",
        place: Place | None = None,
    ) -> None:
        self.session, self.datasets = session, datasets
        self.hooks, self.options = hooks or Hooks(), options or Options()
        self.label = label
        self.place = place or Place()
        self.kept: dict[str, dict[str, Any]] = {}
        self.phase: PhaseRunner = self.call_phase
        self.loop: Each | None = None
        self.resume = list(self.place.position)  # on the way to where a run was stopped
        self.place.position = []
        self.splits: dict[str, SplitRef] = {}  # what data arguments stand for
        self.running: Protocol | None = None  # that the outer one runs
        self.clamps: dict[str, Clamp] = {}  # in force, by target
        self.batch: Batch | None = None  # that is present
        self.idle = False  # whether it waits for a memory to be full: no phase has run
        self.call = 0  # of row keys; 0 in training
        self.alone = False  # whether what runs takes no data: one row
        self._finished = False
        self.counter = "epoch"  # what counts the rounds, "epoch" or "iteration"
        self.going_round = False  # whether a loop of epochs or iterations is around
        self._evaluator: Callable[[Evaluate, Interpreter], Mapping[str, Found]] | None = None

    @property
    def training(self) -> bool:
        """Whether this is the outer protocol and not an evaluation."""
        return not self.label

    @property
    def rounds(self) -> int:
        """Epochs or iterations that are behind, those of all protocols that were run."""
        return self.place.earlier + (self.round if self.going_round else 0)

    @property
    def done(self) -> bool:
        """Whether the protocol has run to its end."""
        return self._finished

    def use_evaluator(
        self, evaluator: Callable[[Evaluate, Interpreter], Mapping[str, Found]]
    ) -> None:
        """Say who runs `evaluate` statements."""
        self._evaluator = evaluator

    def run(self, protocol: Protocol, splits: tuple[SplitRef, ...] = ()) -> None:
        """Run the protocol; `splits` are its data arguments in order.

        Raises Interrupted, DiagnosticError (data), RunFault.
        """
        sequence.begin(self, protocol, splits)
        if self.options.epochs is not None and self.training:
            asked = {"epochs", "iterations"} & {name for name, _ in protocol.parameters}
            for many in asked or {"epochs"}:
                self.session.host[many] = float(self.options.epochs)
        self.block(protocol.body)
        self.place.position = [len(protocol.body)]
        self._finished = True

    # ------------------------------------------------------------- blocks

    def block(self, steps: tuple[Step, ...]) -> None:
        """Run statements in order, from where a stopped run left off."""
        first = self.resume.pop(0) if self.resume else 0
        self.place.position.append(first)
        outer = dict(self.clamps)
        self.clamps |= {s.target: s for s in steps[:first] if isinstance(s, Clamp)}
        for index in range(first, len(steps)):
            self.place.position[-1] = index
            getattr(self, _EXECUTE[type(steps[index])])(steps[index])
        self.clamps = outer
        self.place.position.pop()

    def each(self, step: Each) -> None:
        """`each epoch|iteration|batch|sample`."""
        if step.kind in ("epoch", "iteration"):
            self._rounds(step)
        else:
            self._batch_loop(step)

    def _rounds(self, step: Each) -> None:
        """Epochs, each of which is reported and saved, or iterations, which are reported as one."""
        first = self._first()
        count = self._round_count(step)
        batches = self._batches_inside(step)
        whole = step.kind == "iteration"
        name = "" if self.running is None else self.running.name
        self.hooks.start_rounds(name, count)
        self.going_round = True
        self.counter = step.kind
        if whole:
            left = max(count - first, 0)
            self.hooks.start_epoch(0, batches * left, left)
        for epoch in range(first, count):
            self.place.position[-1] = epoch
            self.session.set_host(step.kind, float(epoch))
            # Keys of training have the epoch besides; those of an evaluation do not.
            if self.alone and not self.resume:
                simulation.present(self)
            elif self.training and not self.resume:
                self.place.loops = 0
            if not whole:
                self.hooks.start_epoch(epoch, batches)
            self.block(step.body)
            # What is saved at the end of an epoch continues with the next one.
            self.place.position[-1] = epoch + 1
            if not whole:
                self.hooks.end_epoch(self)
        if whole and count > first:
            self.hooks.end_epoch(self)
        self.going_round = False
        self.place.earlier += count
        self.place.position.pop()

    def _round_count(self, step: Each) -> int:
        if self.options.epochs is not None and self.training and self.running is None:
            return self.options.epochs
        if step.limit is not None:
            return int(self.session.evaluate(step.limit))
        return int(self.session.host.get(f"{step.kind}s", 1))

    def _first(self) -> int:
        first = self.resume.pop(0) if self.resume else 0
        self.place.position.append(first)
        return first

    def resolve(self, ref: SplitRef) -> SplitRef:
        """A split reference with a protocol's data argument filled in."""
        if ref.parameter is None:
            return ref
        return self.splits.get(ref.parameter, ref)

    def _samples(self, opened: Opened, step: Each) -> int | None:
        """Samples of a pass; None for all that there are."""
        limit = None if step.limit is None else int(self.session.evaluate(step.limit))
        return samples_of(opened, step, limit, self.options, self.training)

    def _batch_loop(self, step: Each) -> None:
        if step.of is None:
            raise RunFault("E0712", f"`each {step.kind}` names no data to take from")
        opened = self.datasets.open(self.resolve(step.of))
        self.call = 0 if self.training else evaluation_call(opened)
        first = self._first()
        repetition = self.place.loops
        size = 1 if step.kind == "sample" else self.options.batch
        samples = self._samples(opened, step)
        if samples is None or samples > 0:
            supply = supply_of(
                self.datasets,
                opened,
                training=self.training,
                epoch=self.place.earlier + self.round,
                repetition=repetition,
                size=size,
                samples=samples,
                first=first,
            )
            BatchLoop(self, step, supply).run()
        self.place.loops = repetition + 1
        self.place.position.pop()

    def run_batch(self, step: Each, batch: Batch) -> None:
        """Present one batch and run the loop's body on it."""
        self.before_batches(step)
        self.batch, self.idle = batch, bool(self.session.memories)
        self.session.load(batch.fields, batch.keys, batch.index, self.epoch)
        self.block(step.body)
        if self.training:
            self.place.batches += 1
        self.hooks.after_batch(self, batch)

    @property
    def room(self) -> int:
        """How many batches may run in one call."""
        plain = self.phase == self.call_phase and not self.resume
        return self.hooks.room(self) if plain else 1

    def before_batches(self, step: Each) -> None:
        """What comes before one batch, or before several that run in one call."""
        self.hooks.poll()
        if self.training:
            self.hooks.before_batch(self)
        self.loop = step

    @property
    def epoch(self) -> int:
        """The present epoch, 0-based."""
        return int(self.session.host["epoch"])

    @property
    def round(self) -> int:
        """The present epoch or iteration, 0-based."""
        return int(self.session.host[self.counter])

    def _batches_inside(self, step: Each) -> int:
        """Training batches of one pass through an epoch's body, for the progress bar."""
        if self.alone:
            return sum(isinstance(inner, RunPhase) for inner in steps_of(step.body))
        count = 0
        for inner in step.body:
            if isinstance(inner, Each) and inner.of is not None:
                opened = self.datasets.open(self.resolve(inner.of))
                size = 1 if inner.kind == "sample" else self.options.batch
                samples = self._samples(opened, inner)
                if samples is None or samples > 0:
                    plan = self.datasets.plan(
                        opened, training=self.training, size=size, samples=samples
                    )
                    count += len(plan)
        return count

    def choose(self, step: Choose) -> None:
        """`when COND { } else { }`, decided now."""
        resumed = self.resume.pop(0) if self.resume else None
        taken = bool(self.session.evaluate(step.condition)) if resumed is None else bool(resumed)
        self.place.position.append(int(taken))
        self.block(step.then if taken else step.otherwise)
        self.place.position.pop()

    def repeat(self, step: Repeat) -> None:
        """`repeat { } until COND limit N`."""
        limit = int(self.session.evaluate(step.limit))
        for count in range(self._first(), limit):
            self.place.position[-1] = count
            self.block(step.body)
            if self.session.evaluate(step.until):
                break
        self.place.position.pop()

    # ------------------------------------------------------------- statements

    def reset(self, step: Reset) -> None:
        """`reset` and `reset X, Y`; clamps in force go on binding."""
        self.session.reset(step.targets)
        for clamp in self.clamps.values():
            self.session.executor.call(clamp.site)

    def push(self, step: Push) -> None:
        """`push M`: the present sample, or what the variables of a window are now."""
        if self.batch is None:
            raise RunFault("E0712", f"no sample is present to push into `{step.memory}`")
        if step.site in self.session.program.routines:
            self.session.executor.call(step.site)
        push(self.session, step.memory, self.batch, self.epoch)

    def forget(self, step: Forget) -> None:
        """`reset memory M`."""
        empty(self.session, (step.memory,))

    def clamp(self, step: Clamp) -> None:
        """`clamp P.x = e`: stored now; the phases in its scope store it again."""
        self.clamps[step.target] = step
        self.session.executor.call(step.site)

    def set_state(self, step: SetState) -> None:
        """`set P.x := e`."""
        self.session.executor.call(step.site)

    def set_global(self, step: SetGlobal) -> None:
        """`beta := e`; random signs are drawn here."""
        value = self.session.with_signs(step.value, step.target, self.call)
        self.session.set_host(step.target, self.session.evaluate(value))

    def run_phase(self, step: RunPhase) -> None:
        """`phase NAME n steps { control = e }`; controls get their old values back."""
        steps = int(self.session.evaluate(step.steps))
        if steps < 0:
            raise RunFault("E0743", f"phase `{step.name}` has {steps} steps", "use 0 or more")
        self.idle = False
        if self.alone:
            simulation.before_phase(self)
        if not step.controls and step.site not in self.session.windows:
            self.phase(step, steps)
        else:
            with self.session.controls(step, steps):
                self.phase(step, steps)
        if self.alone:
            simulation.after_phase(self)

    def call_phase(self, step: RunPhase, steps: int) -> None:
        """One call into generated code for the whole phase."""
        self.session.executor.call(step.site, steps)

    def update(self, step: Update) -> None:
        """`update P, Q`."""
        self.session.executor.call(step.site)

    def rewire(self, step: Rewire) -> None:
        """`rewire NAME`."""
        rewire(self.session, step, self.options.choice)

    def evaluate(self, step: Evaluate) -> None:
        """`evaluate PROTOCOL(split) as NAME`, by the evaluator in charge."""
        if self._evaluator is None:
            return
        metrics = self._evaluator(step, self)
        self.place.results[step.label] = dict(metrics)
        self.hooks.evaluated(step.label, metrics, self)

    def checkpoint(self, step: Checkpoint) -> None:
        """`checkpoint NAME by METRIC on LABEL`."""
        keep(self, step)

    def run_protocol(self, step: RunProtocol) -> None:
        """`run PROTOCOL`."""
        sequence.run_protocol(self, step)

    def restore(self, step: Restore) -> None:
        """`restore NAME`: nothing happens before the first checkpoint of that name."""
        if step.name in self.kept:
            self.session.set_parameters(self.kept[step.name])


# By name, so that a subclass may replace how a statement is executed.
_EXECUTE: dict[type, str] = {
    Each: "each",
    Reset: "reset",
    Clamp: "clamp",
    SetState: "set_state",
    SetGlobal: "set_global",
    RunPhase: "run_phase",
    RunProtocol: "run_protocol",
    Update: "update",
    Rewire: "rewire",
    Push: "push",
    Forget: "forget",
    Evaluate: "evaluate",
    Checkpoint: "checkpoint",
    Restore: "restore",
    Choose: "choose",
    Repeat: "repeat",
}
