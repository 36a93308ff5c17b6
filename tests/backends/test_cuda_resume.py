"""A run on generated CUDA that is taken up again goes on bit by bit, also where it chose forms from
the densities that it had seen."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import netdsl
from netdsl.backends.cupy import shim
from netdsl.backends.cupy.launcher import GpuExecutor
from netdsl.backends.cupy.shim import ShimExecutor
from netdsl.runtime import backend
from netdsl.runtime.training import Settings, Training
from tests.amounts import sweep
from tests.backends import test_cuda_golden
from tests.programs import KEYS, PROGRAMS, ROWS, initial_values
from tests.runtime.test_engine import StopAfter
from tests.specs.test_shipped import SPECS

pytestmark = pytest.mark.skipif(shim.compiler() is None, reason="no g++ for CUDA on the CPU")
SIZES = {"n1": 30, "n2": 10, "T": 4, "B": 10, "n_train": 40, "n_dev": 20}


def model() -> netdsl.Model:
    path = next(path for path in SPECS if path.stem == "csdp")
    return netdsl.compile(path, backend="shim", set=SIZES, dtype="float32", seed=3)


@pytest.mark.parametrize("batches", sweep([1, 3, 4, 6], lambda batches: batches in (1, 4)))
def test_resumes_bit_identically(
    batches: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = (test_cuda_golden.__name__, test_cuda_golden.OneThread.__name__)
    monkeypatch.setitem(backend.BACKENDS, "shim", place)
    whole = model()
    whole.run(epochs=2, out=tmp_path / "whole")
    executor = whole.session.executor
    assert isinstance(executor, GpuExecutor)
    assert len(set(executor.sparse.values())) == 2  # forms of both kinds were chosen
    stopping = StopAfter(model(), Settings(epochs=2, out=tmp_path / "runs"))
    stopping.batches = batches
    stopped = stopping.run()
    assert stopped.interrupted
    again = model()
    again.run(epochs=2, resume=stopped.directory)
    for name, expected in whole.session.parameters().items():
        np.testing.assert_array_equal(again.session.parameters()[name], expected, name)


def test_choices_are_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What kernels had chosen at the stop is chosen again before the first batch of what follows,
    and after every evaluation."""
    place = (test_cuda_golden.__name__, test_cuda_golden.OneThread.__name__)
    monkeypatch.setitem(backend.BACKENDS, "shim", place)
    held = model()
    stopping = StopAfter(held, Settings(epochs=2, out=tmp_path))
    stopping.batches = 3
    stopped = stopping.run()
    executor = held.session.executor
    choices = executor.choices()
    assert choices["measured"] and choices != model().session.executor.choices()
    seen: list[object] = []

    def first(training: Training, interpreter: object) -> None:
        seen.append(training._model.session.executor.choices())

    with monkeypatch.context() as patch:
        patch.setattr(Training, "before_batch", first)
        model().run(epochs=2, resume=stopped.directory, test=False)
    assert seen[0] == choices
    held.evaluate("test", "dev")
    assert executor.choices() == choices


def test_the_choices_decide_how_sums_are_rounded() -> None:
    program = PROGRAMS["three_factor"](70, 65)
    values = {**initial_values(program), "img.p": np.full((ROWS, 70), 0.4)}
    whole = ShimExecutor(program, values, rows=ROWS, seed=5)
    whole.set_rows(ROWS, KEYS)
    for _ in range(2):
        whole.call("train.1", 3)
    choices = json.loads(json.dumps(whole.choices()))
    held = {name: whole.read(name) for name in program.buffers}
    whole.call("train.1", 3)
    equal = []
    for given in (choices, {}, {"sparse": [1], "measured": []}):
        again = ShimExecutor(program, held, rows=ROWS, seed=5)
        again.set_rows(ROWS, KEYS)
        again.choose(given)
        again.call("train.1", 3)
        equal.append(
            all(np.array_equal(again.read(name), whole.read(name)) for name in program.buffers)
        )
    assert equal == [True, False, False]  # choices of another program are ignored
