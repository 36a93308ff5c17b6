"""Memories in runs: warm-up, states of slots, evaluations beside, and runs that go on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import netdsl
from netdsl.runtime.datasets import Batch
from netdsl.runtime.engine import Hooks, Interpreter, Interrupted
from netdsl.runtime.model import Model
from netdsl.runtime.training import Training
from netdsl.tools.compare import compare_models
from netdsl.tools.perturb import perturb_model
from tests.memories.specs import STORED, WAIVED, spec

G = "modulator g on b { scope neuron; emit sum(z[q] * gauss(z, z[q], 1) over q in past) }"
WINDOW = "window[4] of a.s, b.z"
TEST = """
protocol test(split) { each batch of split { reset; clamp a.s = sample.image; phase seen 2 steps } }
metric level = mean(mean(b.u))
"""
RNG = np.random.default_rng(8)
IMAGES = RNG.normal(size=(9, 5))


@pytest.fixture
def data(tmp_path: Path) -> dict[str, str]:
    file = tmp_path / "data.npz"
    labels = np.arange(9) % 3
    np.savez(
        file, train_image=IMAGES, train_label=labels, test_image=IMAGES[:5], test_label=labels[:5]
    )
    return {"digits": str(file)}


def replay(steps: str | None = None, more: str = TEST) -> str:
    text = spec(G, more=WAIVED + more)
    return text if steps is None else spec(G, more=WAIVED + more, steps=steps)


def window(more: str = TEST) -> str:
    return spec(G, memory=WINDOW, dw="pre.s * g", steps=STORED, more=more)


class Watch(Hooks):
    """What there is after each sample; stops before batch `stop`."""

    def __init__(self, model: Model, stop: int = 99) -> None:
        self.model, self.stop, self.seen = model, stop, []

    def before_batch(self, interpreter: Interpreter) -> None:
        if interpreter.place.batches == self.stop:
            raise Interrupted

    def after_batch(self, interpreter: Interpreter, batch: Batch) -> None:
        session = self.model.session
        fields = {k: np.array(v) for k, v in session.fields.items()}
        self.seen.append((session.rows, fields, session.read("b.u"), session.read("W.w")))


def watched(text: str, data: dict[str, str]) -> list[tuple]:
    model = netdsl.compile(text, data=data, backend="numpy", dtype="float64")
    model.reserve()
    watch = Watch(model)
    Interpreter(model.session, model.datasets, watch).run(model.network.protocols["train"])
    return watch.seen


def test_slots_are_rows(data: dict[str, str]) -> None:
    seen = watched(replay(), data)
    assert [rows for rows, *_ in seen] == [1, 2, 3, 4, 4, 4, 4, 4, 4]
    for number, (rows, fields, _, _) in enumerate(seen):
        last = slice(number + 1 - rows, number + 1)
        np.testing.assert_array_equal(fields["image"].reshape(rows, 5), IMAGES[last].astype("f4"))
        np.testing.assert_array_equal(fields["newest"], [0] * (rows - 1) + [1])
    first = seen[0][3]
    for number in range(3):  # nothing is learnt before the memory is full
        np.testing.assert_array_equal(seen[number][3], first)
    assert not np.array_equal(seen[3][3], first)


def test_states_stay_with_their_slots(data: dict[str, str]) -> None:
    """Slot k sees one sample after the other; its state goes on from what it was."""
    seen = watched(replay(), data)
    level = np.zeros((4, 3))
    for number in range(3, 9):
        images = IMAGES[number - 3 : number + 1].astype("f4").astype(float)
        level += 0.5 * images @ seen[number - 1][3]
        np.testing.assert_allclose(seen[number][2], level, rtol=1e-12)


EVERY = (
    "evaluate test(digits.test) as dev; push past; when past.full { clamp a.s = sample.image;"
    " phase run 1 step learning }; evaluate test(digits.test) as after"
)


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_evaluations_leave_memories(data: dict[str, str], backend: str) -> None:
    weights = []
    for text in (replay(), replay(EVERY), window(), window().replace("push past", "push past; "
                 "evaluate test(digits.test) as dev")):  # fmt: skip
        model = netdsl.compile(text, data=data, backend=backend)
        model.run(epochs=2)
        weights.append(model.state["W.w"])
        model.close()
    np.testing.assert_array_equal(weights[0], weights[1])
    np.testing.assert_array_equal(weights[2], weights[3])
    assert not np.array_equal(weights[0], weights[2])


OWN = """
protocol test(split) {
  each sample of split {
    %s
    when past.full { clamp a.s = sample.image; phase seen 1 step }
  }
}
metric level = mean(g)
"""


def test_an_evaluation_may_push(data: dict[str, str]) -> None:
    """It begins with an empty memory, and counts the samples for which its phase ran."""
    for text in (
        replay(more=OWN % "push past"),
        window(OWN % "clamp a.s = sample.image; push past"),
    ):
        text = text.replace("metric level = mean(g)", "metric level = mean(mean(b.z@seen))")
        model = netdsl.compile(text, data=data, backend="numpy")
        first = model.evaluate(split="digits.test")
        assert first.samples == 2
        model.run(epochs=1, test=False)
        model.state["W.w"] = 0.0
        again = model.evaluate(split="digits.test")
        assert np.isfinite(first.metrics["level"]) and again.metrics["level"] == 0.0


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize("text", [replay(), window()], ids=["replay", "window"])
def test_a_run_goes_on(
    text: str, backend: str, data: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the middle of an epoch, with its memory full."""
    whole = netdsl.compile(text, data=data, backend=backend)
    whole.run(epochs=2, out=tmp_path / "whole")
    plain = Training.before_batch

    def stop(self: Training, interpreter: Interpreter) -> None:
        plain(self, interpreter)
        if interpreter.place.batches >= 6:
            raise Interrupted

    monkeypatch.setattr(Training, "room", lambda training, outer: 2)  # batches in one call
    monkeypatch.setattr(Training, "before_batch", stop)
    begun = netdsl.compile(text, data=data, backend=backend).run(epochs=2, out=tmp_path / "begun")
    assert begun.interrupted and begun.directory is not None
    monkeypatch.setattr(Training, "before_batch", plain)
    model = netdsl.compile(text, data=data, backend=backend)
    model.run(resume=begun.directory)
    np.testing.assert_array_equal(model.state["W.w"], whole.state["W.w"])
    held = dict(np.load(begun.directory / "checkpoint.npz"))
    assert int(held["memory/past/@count"]) == 4


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_numbers_for_each_two_slots_while_a_memory_fills(
    backend: str, data: dict[str, str]
) -> None:
    """Rows are added to pairs on both sides."""
    kept = "modulator k[p in past, q in past] { scope global; emit mean(a.s[p] * a.s[q]) }\n"
    model = netdsl.compile(spec(kept + G), data=data, backend=backend)
    model.run(epochs=1)
    assert np.isfinite(model.state["W.w"]).all()
    model.close()


def test_tools_take_memories(data: dict[str, str], tmp_path: Path) -> None:
    for text in (replay(), window()):
        a, b = (
            netdsl.compile(text, data=data, backend=x, dtype="float64") for x in ("numpy", "native")
        )
        report = compare_models(a, b, 3, 1e-10)
        assert report.first is None and report.steps >= 3
        found = perturb_model(netdsl.compile(text, data=data, backend="numpy"))
        assert found.trials
        assert "past" in a.show("memory") or "replay" in text


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_a_signal_that_only_the_newest_needs(backend: str, data: dict[str, str]) -> None:
    """What is not computed for a sample is no number there."""
    model = netdsl.compile(replay(), data=data, backend=backend, dtype="float64")
    model.run("train", test=False)
    signal = model.state["g.b"]
    assert np.isnan(signal[:-1]).all() and np.isfinite(signal[-1]).all()
    model.close()
