"""What must be equal for any valid spec, as one function per comparison.

`checks(case, folder)` yields (name, function); each raises AssertionError where two ways that must
give one answer do not.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from netdsl.api import Model
from netdsl.backends.native import executor as native_backend
from netdsl.backends.numpy import executor as numpy_backend
from netdsl.frontend import check
from netdsl.ir.network import Network
from netdsl.ir.program import Program
from netdsl.ir.protocol import Each, Evaluate, RunPhase, steps_of
from netdsl.ir.text import network_text, routine_text
from netdsl.passes import lower
from netdsl.runtime import backend as backends
from netdsl.runtime.engine import Interpreter
from netdsl.runtime.session import Session
from netdsl.runtime.training import RunResult
from netdsl.streams.draws import row_key
from netdsl.syntax.fmt import format_source
from tests.differential.generator import Case
from tests.differential.known import KNOWN

Array = NDArray[Any]
Values = dict[str, Array]
TRAIN, TEST = 8, 6
EXACT, TIGHT, LOOSE = 0.0, 1e-9, 2e-3

backends.BACKENDS.setdefault("judge", ("tests.differential.judge", "Judge"))
backends.BACKENDS.setdefault("shim", ("netdsl.backends.cupy.shim", "ShimExecutor"))


class Runner:
    """One spec, its data in a folder, and the answers that were computed so far."""

    def __init__(self, case: Case, folder: Path) -> None:
        self.case, self.data = case, folder / f"{case.seed}-{case.image}-{case.classes}.npz"
        self.folder = folder
        _write_data(case, self.data)
        self._reference: Values | None = None

    def model(
        self, backend: str = "numpy", dtype: str = "float64", synapses: str = "auto"
    ) -> Model:
        """A model of the spec."""
        made, data = _lowered(self.case.text, synapses), {"d": str(self.data)}
        return Model(*made, backend, 3, dtype, data=data)

    def trained(self, model: Model, **more: Any) -> Values:
        """Everything that a run of two epochs leaves: parameters, states, metrics, recordings."""
        result = model.run(**more)
        found = _state(model.session) | _results(result)
        model.close()
        return found

    @property
    def reference(self) -> Values:
        """What NumPy gives in float64."""
        if self._reference is None:
            self._reference = self.trained(self.model())
        return self._reference

    # ------------------------------------------------------------- the comparisons

    def fmt(self) -> None:
        """Formatting is idempotent and keeps the meaning."""
        once = format_source(self.case.text)
        assert format_source(once) == once
        assert _meaning(once) == _meaning(self.case.text)

    def backend(self, name: str, dtype: str = "float64") -> None:
        """A backend gives what NumPy gives."""
        found = self.trained(self.model(name, dtype))
        agree(found, self.reference, TIGHT if dtype == "float64" else LOOSE, name)

    def float32(self) -> None:
        """NumPy in float32 is near to float64 where nothing jumps."""
        found = self.trained(self.model(dtype="float32"))
        agree(found, self.reference, LOOSE, "float32", skip=("guess", "right"))

    def layouts(self) -> None:
        """Synapses stored as a list are the same as a masked matrix."""
        masked, edges = (self.model(synapses=word) for word in ("masked", "edges"))
        where = edges.session.executor.connections
        wanted = self.trained(masked)
        for name, value in wanted.items():
            held = where.get(name.split(".")[0])
            if held is not None and value.shape == held.shape:
                wanted[name] = value * held.matrix()
        agree(self.trained(edges), wanted, TIGHT, "edges")

    def evaluation(self) -> None:
        """Training is the same, bit for bit, when nobody looks."""
        unseen = self.model()
        unseen.network = _unseen(unseen.network)
        alone, looked = (self.trained(m, test=False) for m in (unseen, self.model()))
        agree({k: v for k, v in looked.items() if k in alone}, alone, EXACT, "without evaluate")

    def resume(self) -> None:
        """A run stopped after one epoch and continued is the run that was not, bit for bit."""
        first = self.model().run(epochs=1, out=self.folder / "runs")
        whole = self.trained(self.model(), epochs=2, out=self.folder / "runs")
        resumed = self.trained(self.model(), epochs=2, resume=first.directory)
        agree(resumed, whole, EXACT, "resumed")

    def steps(self, backend: str = "numpy") -> None:
        """A phase in one call is its steps one by one, bit for bit."""
        whole, single = self.model(backend), self.model(backend)
        fields = whole.samples("d.train", 3)
        for model in (whole, single):
            model.present(**fields)
            model.reset()
        for name in self.case.phases:
            count = _count(whole, name)
            whole.phase(name, "train")
            for _ in range(count):
                single.step(1, name, "train")
            agree(_state(single.session), _state(whole.session), EXACT, f"steps of {name}")

    def batches(self) -> None:
        """States of a sample do not depend on who is shown beside it."""
        model = self.model()
        fields = model.samples("d.train", TRAIN)
        wanted = self._shown(model, fields, TRAIN)
        for size in (1, 3):
            agree(self._shown(model, fields, size), wanted, TIGHT, f"batches of {size}")

    def _shown(self, model: Model, fields: Values, size: int) -> Values:
        """Per-sample states after the test phases, of samples shown `size` at a time."""
        model.reserve(TRAIN)
        session, parts = model.session, []
        steps = steps_of(model.network.protocols["test"].body)
        body = next(step for step in steps if isinstance(step, Each))
        for start in range(0, TRAIN, size):
            index = np.arange(start, min(start + size, TRAIN))
            rows = {name: value[index] for name, value in fields.items()}
            session.load(rows, row_key(7, 0, index), 0, 0)
            _play(model, body)
            held = session.per_sample()
            axes = {name: int(session.program.buffers[name].slots > 1) for name in held}
            cut = (slice(len(index)), (slice(None), slice(len(index))))
            parts.append({n: v[cut[axes[n]]] for n, v in held.items()})
        return {n: np.concatenate([p[n] for p in parts], axis) for n, axis in axes.items()}

    def metrics_by_batch(self) -> None:
        """An evaluation gives the same figures whatever its batch."""
        found = []
        for size in (1, 4, 50):
            model = self.model()
            data = {name: replace(d, eval_batch=size) for name, d in model.network.data.items()}
            model.network = replace(model.network, data=data)
            model.reserve(50)
            found.append(_metrics(model.evaluate().metrics))
        for other in found[1:]:
            agree(other, found[0], TIGHT, "evaluation batch")

    def evaluated_again(self) -> None:
        """An evaluation gives the same figures under another name and after another one."""
        model = self.model()
        first, again = (_metrics(model.evaluate(label=name).metrics) for name in ("dev", "other"))
        agree(again, first, EXACT, "evaluated again")


def checks(
    runner: Runner, *, native: bool, cuda: bool, every: bool
) -> Iterator[tuple[str, Callable[[], None]]]:
    """The comparisons that a case allows; without `every`, two of the costlier ones in turn."""
    case = runner.case
    yield "fmt", runner.fmt
    yield "judge", lambda: runner.backend("judge")
    if native:
        yield "native", lambda: runner.backend("native")
        yield "native steps", lambda: runner.steps("native")
    if cuda:
        yield "cuda", lambda: runner.backend("shim")
    yield "steps", runner.steps
    if case.batch_free:
        yield "batches", runner.batches
    others = [("resume", runner.resume)]
    if "checkpoint" not in case.text:
        others.append(("evaluation", runner.evaluation))
    if case.sparse:
        others.append(("layouts", runner.layouts))
    if case.batch_free and " per batch" not in case.text:
        others.append(("metrics by batch", runner.metrics_by_batch))
    if KNOWN.evaluation_keys:
        others.append(("evaluated again", runner.evaluated_again))
    if case.smooth and KNOWN.float32_sums:
        others.append(("float32", runner.float32))
    turn = case.seed % len(others)
    yield from others if every else (others + others)[turn : turn + 2]


def agree(
    found: Values, wanted: Values, tolerance: float, what: str, skip: tuple[str, ...] = ()
) -> None:
    """Same names, shapes and numbers, NaN where NaN is; relative to the largest number."""
    assert found.keys() == wanted.keys(), (what, found.keys() ^ wanted.keys())
    for name, value in wanted.items():
        if name.endswith(skip) and skip:
            continue
        scale = 1 + np.max(np.abs(np.nan_to_num(value, posinf=0, neginf=0)), initial=0.0)
        np.testing.assert_allclose(
            found[name], value, rtol=0, atol=tolerance * scale, err_msg=f"{what}: {name}"
        )


def generate_once(patch: pytest.MonkeyPatch) -> None:
    """Let executors of one program share its generated code."""
    held: dict[tuple[int, object], tuple[Program, Any]] = {}

    def once(make: Callable[..., Any], program: Program, *args: Any, **more: Any) -> Any:
        key = (id(program), (make, args))
        if key not in held:
            if len(held) > 12:
                held.clear()
            held[key] = (program, make(program, *args, **more))
        return held[key][1]

    writer, generate = numpy_backend.ModuleWriter, native_backend.generate

    def written(program: Program) -> Any:
        return writer(program).module()

    class Once:
        def __init__(self, program: Program) -> None:
            self.program = program

        def module(self) -> Any:
            return once(written, self.program)

    patch.setattr(numpy_backend, "ModuleWriter", Once)
    patch.setattr(native_backend, "generate", lambda *a, **k: once(generate, *a, **k))


def _state(session: Session) -> Values:
    """Parameters, and per-sample values of variables at the present rows."""
    found = dict(session.parameters())
    for name, buffer in session.program.buffers.items():
        if buffer.role in ("state", "input", "snapshot", "accumulator", "modulator"):
            found[name] = session.executor.read(name)
    return found


def _results(result: RunResult) -> Values:
    found = {f"recorded {name}": np.asarray(v) for name, v in result.recordings.items()}
    for label, metrics in result.metrics.items():
        found |= {f"{label} {k}": v for k, v in _metrics(metrics).items()}
    return found


def _metrics(metrics: Any) -> Values:
    return {name: np.asarray(value, np.float64) for name, value in metrics.items()}


@lru_cache(maxsize=8)
def _lowered(text: str, synapses: str = "auto") -> tuple[Network, Program]:
    """Checked and lowered as `netdsl.compile` does, once for all comparisons of a text."""
    network = check(text, lower=False).require()
    observe = dict.fromkeys(recorder.variable for recorder in network.recorders)
    return network, lower(network, observe=observe, synapses=synapses)


def _meaning(text: str) -> tuple[str, ...]:
    network, program = _lowered(text)
    found = network_text(network), *(routine_text(r) for r in program.routines.values())
    return tuple(re.sub(r"line \d+", "line", text) for text in found)


def _count(model: Model, name: str) -> int:
    steps = model.network.protocols["train"].body
    phase = next(s for s in steps_of(steps) if isinstance(s, RunPhase) and s.name == name)
    return int(model.session.evaluate(phase.steps))


def _play(model: Model, body: Each) -> None:
    Interpreter(model.session, model.datasets, label="batch").block(body.body)


def _unseen(network: Network) -> Network:
    """The same network whose training evaluates nothing."""
    train = network.protocols["train"]
    (epochs,) = (step for step in train.body if isinstance(step, Each))
    body = tuple(step for step in epochs.body if not isinstance(step, Evaluate))
    train = replace(train, body=(replace(epochs, body=body),))
    return replace(network, protocols={**network.protocols, "train": train})


def _write_data(case: Case, path: Path) -> None:
    rng = np.random.default_rng(case.seed)
    fields = {}
    for split, count in (("train", TRAIN + case.seed % 3), ("test", TEST)):
        fields[f"{split}_image"] = rng.uniform(0, 1, (count, case.image))
        label = np.arange(count) % case.classes
        label[0] = case.classes - 1
        fields[f"{split}_label"] = label
    np.savez(path, **fields)
