"""A whole run: train, test, save; stopped by Ctrl-C and continued from a run directory."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import numpy as np

from netdsl.ir.protocol import Each, Evaluate, Protocol, SplitRef, steps_of
from netdsl.runtime.datasets import Batch
from netdsl.runtime.engine import Hooks, Interpreter, Interrupted, Options, Place
from netdsl.runtime.errors import RunFault
from netdsl.runtime.evaluation import Evaluation, Evaluator, clocked_metrics
from netdsl.runtime.faults import NanWatch, require_finite
from netdsl.runtime.progress import Progress
from netdsl.runtime.recordings import recording_bytes, require, require_recordings
from netdsl.runtime.rundir import RunDir
from netdsl.runtime.runfiles import load_checkpoint, save_checkpoint, write_description
from netdsl.runtime.steps import all_steps
from netdsl.runtime.waiting import hush

if TYPE_CHECKING:
    from netdsl.api import Model


@dataclass(frozen=True)
class Settings:
    """What a run was asked to do; see `Model.run`."""

    protocol: str = "train"
    epochs: int | None = None
    limit: int | None = None
    out: Path | None = None
    resume: Path | None = None
    quiet: bool = True
    test: bool = True


@dataclass(frozen=True)
class RunResult:
    """Metrics of the last evaluation by label, the run directory if any, and whether it was
    stopped before its end."""

    metrics: Mapping[str, Mapping[str, float]]
    directory: Path | None = None
    interrupted: bool = False
    recordings: Mapping[str, Any] = field(default_factory=dict)


class Training(Hooks):
    """One run of a protocol on a model."""

    def __init__(self, model: Model, settings: Settings) -> None:
        self._model, self._settings = model, settings
        self._stop = threading.Event()
        self._run: RunDir | None = None
        self._rows = 0
        self._progress: Progress | None = None
        self._latest: dict[str, float] = {}
        self._batches = 0
        self._watch: NanWatch | None = None

    def run(self) -> RunResult:
        """Train (from a checkpoint with `resume`), test, save. Raises what `Model.run` says."""
        model, settings = self._model, self._settings
        protocol = _protocol(model, settings.protocol)
        options = Options(epochs=settings.epochs, limit=settings.limit)
        self._open_data(protocol)
        with hush(settings.quiet):
            model.reserve()
            session = model.session
        require_recordings(model, options, protocol)
        place, kept = self._open_run()
        evaluator = Evaluator(session, model.datasets, options, self.poll, watch=True)
        watch = self._watch = NanWatch(session, model.datasets, options, protocol)
        watch.begin(place)
        interpreter = Interpreter(session, model.datasets, self, options, place=place)
        interpreter.kept.update(kept)

        def evaluate(step: Evaluate, outer: Interpreter) -> dict[str, float]:
            # What training broke is no fault of the test's.
            watch.check(outer)
            return evaluator(step, outer)

        interpreter.use_evaluator(evaluate)
        epochs = settings.epochs or _epochs(protocol, session.evaluate)
        rows = _batch_rows(model, protocol)
        with self._interruptible(), Progress(epochs, 1, rows, quiet=settings.quiet) as progress:
            self._progress = progress
            try:
                interpreter.run(protocol)
                watch.look(interpreter, now=True)
                self._test(evaluator, interpreter)
            except Interrupted:
                return self._interrupted(interpreter, evaluator)
        return self._finish(interpreter, evaluator)

    def _open_data(self, protocol: Protocol) -> None:
        """Read and check all data before anything is allocated or written."""
        from netdsl.runtime.fields import check_fields

        check_fields(self._model, _split_refs(self._model, protocol))

    def _open_run(self) -> tuple[Place, dict[str, dict[str, Any]]]:
        settings = self._settings
        if settings.resume is not None:
            self._run = RunDir.open(settings.resume)
            place, kept, self._rows = load_checkpoint(self._run, self._model.session)
            self._run.truncate_metrics(self._rows)
            return place, kept
        if settings.out is not None:
            self._run = RunDir.create(settings.out, self._model.network.name or "run")
            write_description(self._run, self._model, settings)
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

    def after_batch(self, interpreter: Interpreter, batch: Batch) -> None:
        protocol = self._model.network.protocols[self._settings.protocol]
        due = clocked_metrics(self._model.session, interpreter.place.batches, protocol)
        if due:
            self._log(
                {"epoch": interpreter.epoch, "batch": batch.index + 1, "batches": self._batches},
                due,
            )
            self._latest.update(due)
        if self._progress is not None:
            self._progress.batch(due)

    def start_epoch(self, epoch: int, batches: int) -> None:
        self._batches = batches
        if self._progress is not None:
            self._progress.start_epoch(epoch, batches)

    def end_epoch(self, interpreter: Interpreter) -> None:
        if self._watch is not None:
            self._watch.look(interpreter, now=True)
        if self._progress is not None:
            self._progress.end_epoch(self._latest)
        self._latest = {}
        self._save(interpreter)

    def evaluated(self, label: str, metrics: Mapping[str, float], epoch: int) -> None:
        started = self._batches > 0
        self._log({"epoch": epoch + started, "split": label}, metrics)
        self._latest.update({f"{label}.{name}": value for name, value in metrics.items()})

    def kept(self, name: str, interpreter: Interpreter) -> None:
        if self._run is not None:
            self._run.save_weights(interpreter.kept[name], best=True)

    # ------------------------------------------------------------- results

    def _log(self, place: Mapping[str, Any], metrics: Mapping[str, float]) -> None:
        if self._run is not None and metrics:
            self._run.log({**place, **metrics})
            self._rows += 1

    def _save(self, interpreter: Interpreter) -> None:
        if self._run is not None:
            save_checkpoint(self._run, self._model.session, interpreter, self._rows)
            self._run.save_weights(self._model.session.parameters())

    def _test(self, evaluator: Evaluator, interpreter: Interpreter) -> None:
        network = self._model.network
        if not self._settings.test or "test" not in network.protocols:
            return
        if self._settings.protocol == "test":
            return
        splits = default_splits(self._model, network.protocols["test"], "test")
        result = evaluator.run(network.protocols["test"], splits, "test")
        interpreter.place.results["test"] = result.metrics
        # A finished run that is resumed has trained, though not now.
        self._batches = max(self._batches, int(interpreter.place.batches > 0))
        self.evaluated("test", result.metrics, max(interpreter.epoch, 0))

    def _interrupted(self, interpreter: Interpreter, evaluator: Evaluator) -> RunResult:
        self._save(interpreter)
        return self._result(interpreter, evaluator, interrupted=True)

    def _finish(self, interpreter: Interpreter, evaluator: Evaluator) -> RunResult:
        if self._run is not None:
            self._run.save_weights(self._model.session.parameters())
            recordings = _recordings(evaluator)
            if recordings:
                self._run.save_recordings(recordings)
        return self._result(interpreter, evaluator, interrupted=False)

    def _result(
        self, interpreter: Interpreter, evaluator: Evaluator, interrupted: bool
    ) -> RunResult:
        directory = self._run.path if self._run is not None else None
        metrics = {label: dict(found) for label, found in interpreter.place.results.items()}
        return RunResult(metrics, directory, interrupted, _recordings(evaluator))


def evaluate_model(
    model: Model, protocol: str, split: str | None, label: str, limit: int | None
) -> Evaluation:
    """See `Model.evaluate`."""
    from netdsl.runtime.fields import check_fields

    held = _protocol(model, protocol)
    splits = default_splits(model, held, split or "test")
    check_fields(model, splits)
    model.reserve()
    session = model.session
    require(list(recording_bytes(model, held, splits, label, limit).items()))
    require_finite(session)
    evaluator = Evaluator(session, model.datasets, Options(eval_limit=limit), watch=True)
    return evaluator.run(held, splits, label)


def default_splits(model: Model, protocol: Protocol, split: str) -> tuple[SplitRef, ...]:
    """The data arguments of a protocol: `split` ("dev" or "digits.dev") for each of them."""
    found = split_of(model, split)
    return tuple(found for _, default in protocol.parameters if default is None)


def split_of(model: Model, split: str) -> SplitRef:
    """The split that a name such as "dev" or "digits.dev" means. Raises RunFault E0701."""
    source, _, last = split.rpartition(".")
    if not source:
        source = _evaluated_source(model) or next(iter(model.network.data), "")
    if source not in model.network.data and source not in model.network.pairs:
        have = ", ".join(model.network.data) or "none"
        raise RunFault("E0701", f"the spec declares no data `{source}`", f"it declares: {have}")
    return SplitRef(source, last)


def _evaluated_source(model: Model) -> str | None:
    """The data that the spec's own `evaluate` statements use."""
    for step in all_steps(model.network):
        if isinstance(step, Evaluate) and step.args and step.args[0].parameter is None:
            return step.args[0].source
    return None


def _split_refs(model: Model, protocol: Protocol) -> tuple[SplitRef, ...]:
    """Every split that a protocol draws from or evaluates on, and the final test's."""
    found: dict[SplitRef, None] = {}
    for step in steps_of(protocol.body):
        refs = step.args if isinstance(step, Evaluate) else (getattr(step, "of", None),)
        found.update({ref: None for ref in refs if ref is not None and ref.parameter is None})
    test = model.network.protocols.get("test")
    if test is not None and test is not protocol:
        found.update(dict.fromkeys(default_splits(model, test, "test")))
    return tuple(found)


def _protocol(model: Model, name: str) -> Protocol:
    protocol = model.network.protocols.get(name)
    if protocol is None:
        have = ", ".join(model.network.protocols) or "none"
        raise RunFault("E0743", f"the spec has no protocol `{name}`", f"its protocols: {have}")
    return protocol


def _epochs(protocol: Protocol, evaluate: Any) -> int:
    for name, default in protocol.parameters:
        if name == "epochs" and default is not None:
            return int(evaluate(default))
    return 1


def _batch_rows(model: Model, protocol: Protocol) -> int:
    """Samples in a training batch, for the rate shown."""
    for step in steps_of(protocol.body):
        if isinstance(step, Each) and step.of is not None:
            opened = model.datasets.open(step.of)
            return 1 if step.kind == "sample" else opened.data.batch
    return 1


def _recordings(evaluator: Evaluator) -> dict[str, np.ndarray[Any, Any]]:
    """Recordings of the test, or else of the last evaluation that has any."""
    for label in ["test", *reversed(evaluator.latest)]:
        held = evaluator.latest.get(label)
        if held is not None and held.recordings:
            return held.recordings
    return {}
