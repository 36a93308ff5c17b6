"""A whole run: train, test, save; stopped by Ctrl-C and continued from a run directory."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np

from netdsl.diagnostics.waiting import hush
from netdsl.ir.network import Network
from netdsl.ir.protocol import Evaluate, Protocol, simulates, steps_of
from netdsl.runtime import simulation
from netdsl.runtime.choosing import (
    MAIN,
    batch_rows,
    default_splits,
    epochs_of,
    final_test,
    main_protocol,
    require_epochs,
    require_own_rounds,
    runnable,
    split_refs,
)
from netdsl.runtime.chunks import PATIENCE, Passed
from netdsl.runtime.datasets import Batch
from netdsl.runtime.engine import Hooks, Interpreter, Interrupted, Options, Place
from netdsl.runtime.evaluation import Evaluator, clocked_metrics, clocked_room
from netdsl.runtime.faults import NanWatch
from netdsl.runtime.members import Found, columns
from netdsl.runtime.progress import Progress
from netdsl.runtime.record import Record, identity_of, note_changes
from netdsl.runtime.recorder import Recording
from netdsl.runtime.recordings import require_recordings
from netdsl.runtime.rundir import RunDir
from netdsl.runtime.runfiles import load_checkpoint, save_checkpoint, write_description

if TYPE_CHECKING:
    from netdsl.runtime.model import Model


CHECKPOINT_EVERY = 600.0


@dataclass(frozen=True)
class Settings:
    """What a run was asked to do; see `Model.run`. Without a `protocol` it is that of the run that
    goes on, or `train`; `checkpoint_every` is in seconds."""

    protocol: str | None = None
    epochs: int | None = None
    limit: int | None = None
    out: Path | None = None
    resume: Path | None = None
    quiet: bool = True
    test: bool = True
    checkpoint_every: float = CHECKPOINT_EVERY


@dataclass(frozen=True)
class RunResult:
    """Metrics of the last evaluation by label, of an ensemble (members,), the run directory if any,
    and whether it was stopped before its end. Of a protocol without data its own metrics, by its
    name, and its `readouts`: numbers, or (units,)."""

    metrics: Mapping[str, Mapping[str, Found]]
    directory: Path | None = None
    interrupted: bool = False
    recordings: Mapping[str, Any] = field(default_factory=dict)
    readouts: Mapping[str, Any] = field(default_factory=dict)


class Training(Hooks):
    """One run of a protocol on a model."""

    def __init__(self, model: Model, settings: Settings) -> None:
        self._model, self._settings = model, settings
        self._stop = threading.Event()
        self._run: RunDir | None = None
        self._rows = 0
        self._progress: Progress | None = None
        self._latest: dict[str, Found] = {}
        self._batches = 0
        self._watch: NanWatch | None = None
        self._identity: dict[str, Any] = {}
        self._readouts: dict[str, np.ndarray[Any, Any]] = {}
        self._recording: Recording | None = None
        self._saved, self._epoch_saved = time.monotonic(), False

    def run(self) -> RunResult:
        """Train (from a checkpoint with `resume`), test, save. Raises what `Model.run` says."""
        with ExitStack() as held:
            record = self._continued(held)
            return self._run_protocol(record, held)

    def _continued(self, held: ExitStack) -> Record | None:
        """Take hold of the run directory that is to go on, and take from its record what was not
        asked for; None for a new run."""
        settings = self._settings
        if settings.resume is None:
            name = settings.protocol or main_protocol(self._model.network).name
            self._settings = replace(settings, protocol=name)
            return None
        self._run = RunDir.open(settings.resume)
        held.enter_context(self._run.locked())
        record = Record.read(self._run)
        self._settings = replace(
            settings,
            protocol=settings.protocol or record.protocol,
            epochs=record.epochs if settings.epochs is None else settings.epochs,
            limit=record.limit if settings.limit is None else settings.limit,
        )
        return record

    def _run_protocol(self, record: Record | None, held: ExitStack) -> RunResult:
        model, settings = self._model, self._settings
        protocol = self._protocol = runnable(model, settings.protocol or MAIN)
        options = Options(settings.epochs, settings.limit, choice=model.choice)
        require_own_rounds(protocol, settings.epochs)
        if simulates(protocol, model.network.protocols):
            simulation.refuse_amounts(protocol, settings.limit, settings.epochs)
        simulation.require_no_data(model.network, model.program, protocol)
        self._open_data(protocol)
        with hush(settings.quiet):
            model.reserve()
            session = model.session
        require_recordings(model, options, protocol)
        recording = self._recording = Recording(session, protocol, "")
        place, kept = self._open_run(protocol, record, held)
        evaluator = Evaluator(session, model.datasets, options, self.poll, watch=True)
        watch = self._watch = NanWatch(session, model.datasets, options, protocol)
        watch.begin(place)
        interpreter = Interpreter(session, model.datasets, self, options, place=place)
        interpreter.kept.update(kept)
        interpreter.phase = recording.phase(interpreter.phase)

        def evaluate(step: Evaluate, outer: Interpreter) -> dict[str, Found]:
            # What training broke is no fault of the test's.
            watch.check(outer)
            return evaluator(step, outer)

        interpreter.use_evaluator(evaluate)
        epochs = settings.epochs or epochs_of(protocol, session.evaluate)
        rows = batch_rows(model, protocol)
        shown = Progress(epochs, 1, rows, title=protocol.name, quiet=settings.quiet)
        with self._interruptible(), shown as progress:
            self._progress = progress
            try:
                interpreter.run(protocol)
                watch.look(interpreter, now=True)
                self._read_alone(interpreter)
                self._test(evaluator, interpreter)
            except Interrupted:
                return self._interrupted(interpreter, evaluator)
        return self._finish(interpreter, evaluator)

    def _open_data(self, protocol: Protocol) -> None:
        """Read and check all data before anything is allocated or written."""
        from netdsl.runtime.fields import check_fields

        check_fields(self._model, split_refs(self._model, protocol))

    def _open_run(
        self, protocol: Protocol, record: Record | None, held: ExitStack
    ) -> tuple[Place, dict[str, dict[str, Any]]]:
        model, settings = self._model, self._settings
        if record is not None and self._run is not None:
            self._identity = identity_of(model, settings)
            place, kept, self._rows = load_checkpoint(
                self._run,
                model.session,
                protocol,
                (record.identity, self._identity),
                self._recording,
            )
            require_epochs(model, protocol, place, settings.epochs)
            note_changes(self._run, record, model, settings)
            self._run.truncate_metrics(self._rows)
            return place, kept
        if settings.out is not None:
            self._identity = identity_of(model, settings)
            self._run = RunDir.create(settings.out, model.network.name or "run")
            held.enter_context(self._run.locked())
            write_description(self._run, model, settings)
        return Place(), {}

    @contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Ctrl-C asks for a stop between batches; a second one stops at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.getsignal(signal.SIGINT)

        def ask(number: int, frame: FrameType | None) -> None:
            if self._stop.is_set():
                raise KeyboardInterrupt
            self._stop.set()
            if self._progress is not None:
                self._progress.note("stopping after this batch (Ctrl-C again: at once)")

        signal.signal(signal.SIGINT, ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    # ------------------------------------------------------------- hooks

    def poll(self) -> None:
        if self._stop.is_set():
            raise Interrupted

    def before_batch(self, interpreter: Interpreter) -> None:
        if self._watch is not None:
            self._watch.look(interpreter)
        if time.monotonic() - self._saved >= self._settings.checkpoint_every:
            self._save(interpreter)

    def room(self, interpreter: Interpreter) -> int:
        if self._settings.checkpoint_every < PATIENCE:
            return 1
        batches = interpreter.place.batches
        room = clocked_room(self._model.session, batches)
        return room if self._watch is None else min(room, self._watch.room(batches) or room)

    def after_batches(self, interpreter: Interpreter, passed: Passed) -> None:
        if self._progress is not None:
            self._progress.batch(count=len(passed) - 1)
        self.after_batch(interpreter, passed.last)

    def after_batch(self, interpreter: Interpreter, batch: Batch) -> None:
        if self._recording is not None:
            self._recording.end_batch()
            if self._recording.idle:
                interpreter.phase = interpreter.call_phase  # in one call again
        self._passed(interpreter, batch.index)

    def after_phase(self, interpreter: Interpreter) -> None:
        self._passed(interpreter, interpreter.place.batches - 1)

    def start_row(self, interpreter: Interpreter) -> None:
        if self._recording is not None:
            self._recording.end_row()

    def _passed(self, interpreter: Interpreter, index: int) -> None:
        due: dict[str, Found] = {}
        if not interpreter.idle:
            batches, running = interpreter.place.batches, interpreter.running or self._protocol
            due = clocked_metrics(self._model.session, batches, running)
        if due:
            self._log(
                {
                    interpreter.counter: interpreter.rounds,
                    **_protocol(interpreter),
                    "batch": index + 1,
                    "batches": self._batches,
                },
                due,
            )
            self._latest.update(due)
        if self._progress is not None:
            self._progress.batch(due)

    def start_rounds(self, protocol: str, count: int) -> None:
        if self._progress is not None:
            self._progress.start_rounds(protocol, count)

    def start_epoch(self, epoch: int, batches: int, rounds: int = 0) -> None:
        self._batches = batches
        if self._progress is not None:
            self._progress.start_epoch(epoch, batches, rounds)

    def end_epoch(self, interpreter: Interpreter) -> None:
        if self._watch is not None:
            self._watch.look(interpreter, now=True)
        if self._progress is not None:
            self._progress.end_epoch(self._latest)
        self._latest = {}
        self._save(interpreter)
        self._epoch_saved = True

    def evaluated(self, label: str, metrics: Mapping[str, Found], interpreter: Interpreter) -> None:
        started = interpreter.going_round or not interpreter.rounds
        done = interpreter.rounds + (started and self._batches > 0)
        self._log({interpreter.counter: done, **_protocol(interpreter), "split": label}, metrics)
        self._latest.update({f"{label}.{name}": value for name, value in metrics.items()})

    def kept(self, name: str, interpreter: Interpreter) -> None:
        if self._run is not None:
            self._run.save_weights(interpreter.kept[name], best=True)

    # ------------------------------------------------------------- results

    def _log(self, place: Mapping[str, Any], metrics: Mapping[str, Found]) -> None:
        if self._run is not None and metrics:
            self._run.log({**place, **columns(metrics)})
            self._rows += 1

    def _save(self, interpreter: Interpreter) -> None:
        if self._run is not None:
            session = self._model.session
            taken = {} if self._recording is None else self._recording.state()
            save_checkpoint(self._run, session, interpreter, self._rows, self._identity, taken)
            self._run.save_weights(session.parameters())
            self._saved = time.monotonic()

    def _read_alone(self, interpreter: Interpreter) -> None:
        """What a protocol without data is found to have done."""
        if not interpreter.alone:
            return
        session = self._model.session
        self._readouts = simulation.readouts(session, self._protocol)
        found = simulation.numbers(self._readouts, session.members)
        found |= simulation.metrics(session, self._protocol)
        interpreter.place.results[self._protocol.name] = found
        self.evaluated(self._protocol.name, found, interpreter)
        if self._run is not None and self._readouts:
            self._run.save_readouts(self._readouts)

    def _test(self, evaluator: Evaluator, interpreter: Interpreter) -> None:
        test = final_test(self._model.network, self._protocol)
        if not self._settings.test or test is None:
            return
        splits = default_splits(self._model, test, "test")
        result = evaluator.run(test, splits, "test", _from_present(self._model.network))
        interpreter.place.results["test"] = result.metrics
        # A finished run that is resumed has trained, though not now.
        self._batches = max(self._batches, int(interpreter.place.batches > 0))
        self.evaluated("test", result.metrics, interpreter)

    def _recordings(self, evaluator: Evaluator) -> dict[str, np.ndarray[Any, Any]]:
        """Those of an evaluation, and those of the run itself."""
        own = {} if self._recording is None else self._recording.arrays()
        return {**_evaluated(evaluator), **own}

    def _interrupted(self, interpreter: Interpreter, evaluator: Evaluator) -> RunResult:
        if interpreter.done:
            self._save_end(interpreter)
        else:
            self._save(interpreter)
        return self._result(interpreter, evaluator, interrupted=True)

    def _save_end(self, interpreter: Interpreter) -> None:
        """Save at the end of the protocol. A checkpoint of the end of an epoch stands: from there
        a run can be given more epochs."""
        if self._run is None:
            return
        if self._epoch_saved or not interpreter.place.batches:
            self._run.save_weights(self._model.session.parameters())
        else:
            self._save(interpreter)

    def _finish(self, interpreter: Interpreter, evaluator: Evaluator) -> RunResult:
        if self._run is not None:
            self._save_end(interpreter)
            recordings = self._recordings(evaluator)
            if recordings:
                self._run.save_recordings(recordings)
        return self._result(interpreter, evaluator, interrupted=False)

    def _result(
        self, interpreter: Interpreter, evaluator: Evaluator, interrupted: bool
    ) -> RunResult:
        directory = self._run.path if self._run is not None else None
        metrics = {label: dict(found) for label, found in interpreter.place.results.items()}
        return RunResult(
            metrics, directory, interrupted, self._recordings(evaluator), self._readouts
        )


def _protocol(interpreter: Interpreter) -> dict[str, str]:
    """The protocol that is run by another, for a row of the log."""
    return {} if interpreter.running is None else {"protocol": interpreter.running.name}


def _evaluated(evaluator: Evaluator) -> dict[str, np.ndarray[Any, Any]]:
    """Recordings of the test, or else of the last evaluation that has any."""
    for label in ["test", *reversed(evaluator.latest)]:
        held = evaluator.latest.get(label)
        if held is not None and held.recordings:
            return held.recordings
    return {}


def _from_present(network: Network) -> bool:
    """Whether `test` is evaluated from the state of training; at the end it is so, too."""
    steps = (step for held in network.protocols.values() for step in steps_of(held.body))
    tests = [step for step in steps if isinstance(step, Evaluate) and step.protocol == "test"]
    return any(step.from_present for step in tests)
