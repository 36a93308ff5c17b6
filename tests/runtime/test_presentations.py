"""What draws are keyed by, what an evaluation leaves behind, and what a checkpoint holds: on every
backend, for batches that do not fill the last one, with states that outlive a `reset`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netdsl
from netdsl.ir.protocol import SplitRef
from netdsl.runtime import backend
from netdsl.runtime.data.batches import sample_order
from netdsl.runtime.datasets import evaluation_call
from netdsl.runtime.engine import Interpreter
from netdsl.runtime.session import PER_SAMPLE, Session
from netdsl.runtime.training import Settings
from netdsl.streams.draws import row_key
from tests.amounts import sweep
from tests.backends import test_cuda_golden
from tests.runtime.carrying import BACKENDS, EVALUATE, SIZES, model, state
from tests.runtime.test_engine import StopAfter

Loads = list[tuple[Any, ...]]


@pytest.fixture(autouse=True)
def cuda_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backend `shim` that `compile` takes."""
    place = (test_cuda_golden.__name__, test_cuda_golden.OneThread.__name__)
    monkeypatch.setitem(backend.BACKENDS, "shim", place)


def assert_same(held: netdsl.Model, expected: dict[str, Any]) -> None:
    for name, value in state(held).items():
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


@pytest.mark.parametrize("sizes", SIZES)
@pytest.mark.parametrize("backend", BACKENDS)
def test_evaluations_do_not_change_training(backend: str, sizes: tuple[int, int]) -> None:
    plain, evaluated = model(backend, sizes), model(backend, sizes, evaluate=EVALUATE)
    plain.run(test=False)
    evaluated.run(test=False)
    assert_same(evaluated, state(plain))
    assert plain.session.draws == evaluated.session.draws
    assert plain.session.executor.choices() == evaluated.session.executor.choices()


@pytest.mark.parametrize("sizes", sweep(SIZES[:2], SIZES[0].__eq__))
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_run_resumes_bit_by_bit_from_any_batch(
    backend: str, sizes: tuple[int, int], tmp_path: Path
) -> None:
    whole = model(backend, sizes, evaluate=EVALUATE)
    reference = whole.run()
    expected = state(whole)
    for batches in (1, 3, 4, 6, 7):
        stopping = StopAfter(
            model(backend, sizes, evaluate=EVALUATE), Settings(out=tmp_path / str(batches))
        )
        stopping.batches = batches
        stopped = stopping.run()
        again = model(backend, sizes, evaluate=EVALUATE)
        finished = again.run(resume=stopped.directory)
        assert finished.metrics == reference.metrics
        assert_same(again, expected)


@pytest.mark.parametrize("backend", BACKENDS)
def test_all_that_lasts_is_saved(backend: str) -> None:
    """What a checkpoint leaves out is made anew for every batch: garbage there changes nothing."""
    plain, spoilt = model(backend), model(backend)
    plain.run(test=False)
    session = spoilt.session
    kept = set(session.lasting())
    load = session.load

    def spoil(*args: Any) -> None:
        with session.executor.reaching(session.executor.capacity):
            for name, buffer in session.program.buffers.items():
                if buffer.place in PER_SAMPLE and name not in kept:
                    session.executor.write(name, np.nan)
        load(*args)

    session.load = spoil  # type: ignore[method-assign]
    spoilt.run(test=False)
    assert_same(spoilt, state(plain))


@pytest.mark.parametrize("keep", ["", " keep"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_an_evaluation_depends_on_parameters_and_samples_alone(
    backend: str, keep: str, tmp_path: Path
) -> None:
    trained = model(backend, evaluate=EVALUATE, keep=keep)
    run = trained.run(out=tmp_path)
    trained.save_state(tmp_path / "state.npz")
    expected = run.metrics
    for sizes in ((5, 7), (9, 7)) if keep else SIZES:  # what is kept goes from batch to batch
        other = model(backend, sizes, keep=keep)
        other.load_state(tmp_path / "state.npz")
        for epochs in (0, 1):  # before and after other work
            for label, split in (("test", "test"), ("other", "dev"), ("dev", "d.dev")):
                found = other.evaluate("test", split, label).metrics
                wanted = expected["test" if split == "test" else "dev"]
                # Sums over the samples of an evaluation are cut otherwise.
                assert found == pytest.approx(wanted, rel=1e-12)
            if not epochs:
                other.run(epochs=1, test=False)
                other.load_state(tmp_path / "state.npz")


def loads(monkeypatch: pytest.MonkeyPatch) -> Loads:
    """Every batch that is presented: epoch, keys and images."""
    found: Loads = []
    plain = Session.load

    def load(self: Session, fields: Any, keys: Any, index: int, epoch: int) -> None:
        found.append((epoch, np.array(keys), np.array(fields["image"])))
        plain(self, fields, keys, index, epoch)

    monkeypatch.setattr(Session, "load", load)
    monkeypatch.setattr(Interpreter, "room", 1)  # or several are presented in one call
    return found


def test_keys_of_training(monkeypatch: pytest.MonkeyPatch) -> None:
    found = loads(monkeypatch)
    held = model(data="streams")
    held.run(test=False)
    for epoch in range(2):
        keys = np.concatenate([keys for when, keys, _ in found if when == epoch])
        order = sample_order(18, 3, "d", epoch)
        expected = [row_key(0, epoch, order, member, 0) for member in (0, 1)]
        assert set(keys.tolist()) == set(np.concatenate(expected).tolist())


@pytest.mark.parametrize("name", ["d", "streams"])
def test_keys_of_evaluations(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By split, sample in the whole source, pair member and repetition: nothing else."""
    found = loads(monkeypatch)
    held = model()
    held.session.set_host("epoch", 7.0)
    held.evaluate("test", f"{name}.dev", "any")
    opened = held.datasets.open(SplitRef(name, "dev"))
    assert opened.offset == 18
    half, samples = len(found) // 2, np.arange(18, 40)
    for repetition, part in enumerate((found[:half], found[half:])):
        keys = np.concatenate([keys for _, keys, _ in part])
        expected = [
            row_key(evaluation_call(opened), 0, samples, member, repetition)
            for member in range(1 + (name == "streams"))
        ]
        assert set(keys.tolist()) == set(np.concatenate(expected).tolist())
        assert len(set(keys.tolist())) == len(keys)


def test_every_split_and_member_has_keys_of_its_own() -> None:
    held = model()
    calls = {
        evaluation_call(held.datasets.open(SplitRef(source, split)))
        for source in ("d", "streams")
        for split in ("train", "dev", "test")
    }
    assert len(calls) == 6 and 0 not in calls


def test_wrong_labels_differ_between_repetitions() -> None:
    held = model(data="streams")
    opened = held.datasets.open(SplitRef("streams", "train"))

    def shown(repetition: int) -> Any:
        batches = held.datasets.batches(opened, training=True, epoch=0, repetition=repetition)
        return np.concatenate([batch.fields["shown_label"] for batch in batches])

    assert np.array_equal(shown(0), shown(0))
    assert not np.array_equal(shown(0), shown(1))


def test_a_limit_takes_the_first_of_each_epochs_own_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = loads(monkeypatch)
    held = model()
    held.run(limit=6, epochs=3, test=False)
    images = held.datasets.open(SplitRef("d", "train")).split.fields["image"]
    seen = []
    for epoch in range(3):
        shown = np.concatenate([image for when, _, image in found if when == epoch])
        np.testing.assert_array_equal(shown, images[sample_order(18, 3, "d", epoch)[:6]])
        seen.append(shown)
    assert not np.array_equal(np.sort(seen[0], 0), np.sort(seen[1], 0))


def test_random_signs_of_an_evaluation_are_its_own() -> None:
    held = model(evaluate=EVALUATE)
    held.run(epochs=1, test=False)
    draws, sign = dict(held.session.draws), held.session.host["flip"]
    assert draws == {"sgn": 4}
    for _ in range(2):
        held.evaluate("test", "dev")
        assert held.session.draws == draws and held.session.host["flip"] == sign
