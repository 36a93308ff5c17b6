"""Batches that run in one call leave what they leave one by one: values, metrics, log, messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netdsl
from netdsl.backends.base import Executor
from netdsl.backends.chunks import Chunk, Plan
from netdsl.diagnostics import DiagnosticError
from netdsl.paths import data_path
from netdsl.runtime import backend as backends
from netdsl.runtime import chunks
from netdsl.runtime.backend import executor_class
from netdsl.runtime.engine import Interpreter
from netdsl.runtime.metrics_log import read_metrics
from netdsl.runtime.training import Settings, Training
from tests.backends import test_cuda_golden
from tests.memories import specs as memories
from tests.runtime.carrying import BACKENDS, EVALUATE, state, text

METRICS = """\
metric apart = mean(y == sample.label) per batch
metric squares = mean(mean(b.v@run^2)) per batch
metric clocked = mean(mean(abs(b.v))) every 3 batches
metric size = sum(abs(W.w)) every 4 batches after update
metric level_now = mean(mean(b.th))
"""


@pytest.fixture(autouse=True)
def every_backend(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend `shim`, and chunks as long as the loop lets them be."""
    place = (test_cuda_golden.__name__, test_cuda_golden.OneThread.__name__)
    monkeypatch.setitem(backends.BACKENDS, "shim", place)
    monkeypatch.setattr(chunks, "PATIENCE", 1e9)


def spec(data: str = "d", more: str = "") -> str:
    """The network that carries much, without what the host decides for every batch."""
    held = text((5, 7), EVALUATE, data=data).replace("sgn := sgn * random_sign()", "")
    held = held.replace("flip := random_sign();", "")
    controls = "control nudge = 0.5\nneuron src"
    held = held.replace("neuron src", controls, 1).replace("j - th; th", "j - th * nudge; th")
    held = held.replace("steps learning", "steps learning { nudge = 2 * nudge }")
    return held + METRICS + more


class Counter:
    """How many batches ran in one call with others."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
        self.batches: list[int] = []
        kind = executor_class(name)
        plain = kind.run_chunk

        def run(executor: Executor, plan: Plan, chunk: Chunk) -> Any:
            self.batches.append(len(chunk))
            return plain(executor, plan, chunk)

        monkeypatch.setattr(kind, "run_chunk", run)


def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Interpreter, "room", 1)


def same(model: netdsl.Model, other: netdsl.Model) -> None:
    expected = state(other)
    for name, value in state(model).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)
    assert model.session.host == other.session.host
    np.testing.assert_array_equal(model.session.keys, other.session.keys)
    assert model.session.fields.keys() == other.session.fields.keys()
    for name, value in model.session.fields.items():
        np.testing.assert_array_equal(value, other.session.fields[name], err_msg=name)


@pytest.mark.parametrize(("data", "limit"), [("d", None), ("d", 12), ("streams", None)])
@pytest.mark.parametrize("name", BACKENDS)
def test_the_same_as_one_by_one(
    name: str, data: str, limit: int | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    counter = Counter(monkeypatch, name)
    models, results = [], []
    for how in ("chunks", "single"):
        model = netdsl.compile(spec(data), name, dtype="float32", seed=3)
        if how == "single":
            assert counter.batches
            one_by_one(monkeypatch)
        models.append(model)
        result = model.run(out=tmp_path / how, limit=limit)
        results.append(result)
    assert results[0].metrics == results[1].metrics
    logs = [read_metrics(next((tmp_path / how).iterdir()) / "metrics.jsonl")
            for how in ("chunks", "single")]  # fmt: skip
    assert logs[0] == logs[1] and any("clocked" in row for row in logs[0])
    same(*models)


@pytest.mark.parametrize("batches", [2, 3])
def test_taken_up_again_within_a_loop(
    batches: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A run that is stopped between two chunks goes on as it would have."""
    whole = netdsl.compile(spec(), "native", seed=3)
    with monkeypatch.context() as patch:
        one_by_one(patch)
        reference = whole.run()
    monkeypatch.setattr(Training, "room", lambda training, outer: batches)
    before = Training.after_batches

    def stop(training: Training, outer: Interpreter, passed: chunks.Passed) -> None:
        before(training, outer, passed)
        training._stop.set()

    with monkeypatch.context() as patch:
        patch.setattr(Training, "after_batches", stop)
        stopped = Training(netdsl.compile(spec(), "native", seed=3), Settings(out=tmp_path)).run()
    assert stopped.interrupted
    model = netdsl.compile(spec(), "native", seed=3)
    assert model.run(resume=stopped.directory).metrics == reference.metrics
    same(model, whole)


@pytest.mark.parametrize("name", BACKENDS)
def test_the_origin_of_nan_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    grown = spec().replace("th := th + 0.01 * v", "th := th + 0.01 * v + exp(400 * th)")
    said = []
    for single in (False, True):
        if single:
            one_by_one(monkeypatch)
        with pytest.raises(DiagnosticError) as caught:
            netdsl.compile(grown, name, seed=3).run()
        said.append([str(one) for one in caught.value.diagnostics])
    assert said[0] == said[1] and "first seen in" in said[0][0]


@pytest.mark.parametrize(
    "line",
    [
        "repeat { phase run 1 step } until sgn > 9 limit 2",
        "when batch.index > 1 { phase run 1 step }",
        "sgn := sgn * random_sign()",
    ],
)
def test_what_the_host_decides_is_not_captured(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    counter = Counter(monkeypatch, "numpy")
    held = spec().replace(EVALUATE, "").replace("clamp a.p", f"{line}\n      clamp a.p", 1)
    netdsl.compile(held, "numpy", seed=3).run(test=False)
    assert not counter.batches


@pytest.mark.parametrize("name", ["bp", "pc"])
def test_shipped_specs(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    models = []
    for single in (False, True):
        if single:
            one_by_one(monkeypatch)
        model = netdsl.compile(data_path("specs") / f"{name}.net", "numpy", set={"n1": 12})
        model.run(epochs=1, limit=100)
        models.append(model)
    same(*models)


MODULATORS = """
modulator w[p in past] { scope global; emit 1 - near(a.s[p]) }
modulator g on b { scope neuron; emit mean((w[p] + 1) * gauss(z, z[p], 1) * (z - z[p]) over p in past) }
"""  # noqa: E501
STORED = "modulator g on b { scope neuron; emit mean(z - z[p] over p in past) }"
ENSEMBLE = "ensemble 3 vary weights\n"
EVALUATED = """
protocol test(split) { each batch of split { reset; clamp a.s = sample.image; phase run 1 step } }
metric level = mean(mean(b.z@run)) per batch
"""


def remembering(kind: str) -> str:
    """The network of the tests of memories, with data of its size."""
    if kind == "window":
        held = memories.spec(
            STORED, "window[4] of b.z", dw="pre.s * g", steps=memories.STORED, more=""
        )
    else:
        held = memories.spec(MODULATORS)
    return held.replace("source[5]", "source[64]").replace(
        'source = "digits"',
        'source = "digits"; shuffle = true; eval_batch = 7; split train = train[0, 30]; '
        "split test = test[0, 20]",
    )


@pytest.mark.parametrize(
    ("name", "kind", "more"),
    [
        case
        for case in [
            ("native", "replay", ENSEMBLE),
            ("native", "window", ""),
            ("numpy", "replay", ""),
            ("numpy", "window", ENSEMBLE),
            ("shim", "replay", ENSEMBLE),
        ]
        if case[0] in BACKENDS
    ],
)
def test_memories_and_ensembles(
    name: str, kind: str, more: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = remembering(kind) + EVALUATED + more
    if kind == "window":
        held = held.replace("z@run", "z")
    models, found = [], []
    counter = Counter(monkeypatch, name)
    for single in (False, True):
        if single:
            assert max(counter.batches) > 20  # all but those before the memory is full
            one_by_one(monkeypatch)
        model = netdsl.compile(held, name, seed=3)
        found.append(model.run(epochs=2).metrics)
        models.append(model)
    np.testing.assert_equal(found[0], found[1])
    same(*models)
    one, other = (model.session.memories["past"] for model in models)
    assert one.count == other.count == 4
    np.testing.assert_array_equal(one.samples, other.samples)
    np.testing.assert_array_equal(one.keys, other.keys)
    np.testing.assert_equal(one.fields, other.fields)


def test_what_a_memory_holds_is_augmented_anew(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    draw = np.random.default_rng(0)
    images = draw.integers(0, 255, (12, 6, 6, 3)).astype(np.uint8)
    np.savez(tmp_path / "pics.npz", train_image=images, train_label=np.zeros(12, np.int64))
    held = remembering("replay").replace("source[64]", "source[108]")
    data = 'data digits { source = "pics"; augment train = crop(pad = 1, shared = true) + flip }'
    held = "\n".join(data if line.startswith("data") else line for line in held.splitlines())
    models = []
    counter = Counter(monkeypatch, "numpy")
    for single in (False, True):
        if single:
            assert counter.batches
            one_by_one(monkeypatch)
        model = netdsl.compile(held, "numpy", seed=3, data={"digits": tmp_path / "pics.npz"})
        model.run(epochs=2)
        models.append(model)
    same(*models)
