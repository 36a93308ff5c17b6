"""Generated data: what tasks draw, the signals compiled into a step, loops of iterations."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import netdsl
from netdsl.ir.protocol import Evaluate, SplitRef
from netdsl.runtime.datasets import Batch
from netdsl.runtime.steps import all_steps
from tests.ir.test_functions import BACKENDS, missing

SOURCE = """edition 1
dt = 1 ms
import std.task {{ {task} }}
neuron source {{ input rate; n ~ poisson(rate); state total = 0; total := total + n }}
neuron goal {{ input target }}
population x : source[{task}.units]
{more}
protocol show {{
  each batch of {task} {{
    reset
    clamp x.rate = sample.{signal}
    {clamp}phase trial {task}.steps steps
  }}
}}
metric spikes = mean(mean(x.total))
"""


def model(task: str, signal: str = "rate", **set: object) -> netdsl.Model:
    wave = task == "pattern"
    more = "population y : goal[pattern.n_out]" if wave else ""
    clamp = "clamp y.target = sample.wave; " if wave else ""
    text = SOURCE.format(task=task, signal=signal, more=more, clamp=clamp)
    paths = {f"{task}.{name}": value for name, value in set.items()}
    return netdsl.compile(text, "numpy", set=paths, observe=["x.total", "x.rate"])


def batch(held: netdsl.Model, task: str, epoch: int = 0) -> Batch:
    opened = held.datasets.open(SplitRef(task, ""))
    return next(iter(held.datasets.batches(opened, training=True, epoch=epoch, repetition=0)))


def traces(held: netdsl.Model, drawn: Batch, steps: int, path: str) -> np.ndarray:
    """(steps, R, n): a variable at every step of the trial."""
    held.reserve(len(drawn.keys))
    held.session.load(drawn.fields, drawn.keys, drawn.index, 0)
    held.reset()
    found = []
    for _ in range(steps):
        held.step(phase="trial", protocol="show")
        found.append(np.array(held.state[path], np.float64))
    return np.stack(found)


def test_accumulating_cues() -> None:
    times = {"n_cue": 5, "cue": 4, "pause": 2, "delay": 6, "recall": 3}
    held = model("cues", **times, group=2, batch=32, cue_rate=0.5)
    drawn = batch(held, "cues")
    patterns, labels = drawn.fields["pattern"].astype(int), drawn.fields["label"]
    assert sorted(patterns) == list(range(32))  # all different
    sides = np.array([[p >> (4 - c) & 1 for c in range(5)] for p in patterns])
    np.testing.assert_array_equal(labels, sides.sum(axis=1) > 2.5)
    steps = 5 * 6 - 2 + 6 + 3
    assert held.network.params["cues.batch"] == 32
    rate = traces(held, drawn, steps, "x.rate")
    expected = np.zeros((steps, 32, 8))
    expected[:, :, 6:] = 0.01
    expected[steps - 3 :, :, 4:6] = 0.5
    for c in range(5):
        at = slice(6 * c, 6 * c + 4)
        expected[at, :, 0:2] = 0.5 * sides[None, :, c, None]
        expected[at, :, 2:4] = 0.5 * (1 - sides[None, :, c, None])
    np.testing.assert_allclose(rate, expected, rtol=1e-6)
    # Mean counts: 5 cues of 4 steps, on one of the two sides.
    total = held.state["x.total"]
    assert total[:, :4].sum() == pytest.approx(32 * 5 * 4 * 2 * 0.5, rel=0.1)


def test_published_trial_of_cues() -> None:
    held = model("cues")
    (phase,) = [r for r in held.program.routines.values() if r.kind == "phase"]
    assert phase.phase == "trial" and held.program.sizes["x"] == 40
    first, second = batch(held, "cues"), batch(held, "cues", epoch=1)
    for drawn in (first, second):
        assert len(set(drawn.fields["pattern"])) == 64
    assert set(first.fields["pattern"]) != set(second.fields["pattern"])


def test_match_to_sample() -> None:
    held = model("match", stimulus=3, delay=4, group=2, batch=40)
    drawn = batch(held, "match")
    first, second, label = (drawn.fields[n] for n in ("first", "second", "label"))
    np.testing.assert_array_equal(first == second, label == 1)
    assert 8 < label.sum() < 32 and set(second) <= set(range(4))
    rate = traces(held, drawn, 10, "x.rate")
    for step, shown in ((0, first), (2, first), (7, second), (9, second)):
        np.testing.assert_array_equal(rate[step].argmax(axis=1) // 2, shown)
    np.testing.assert_allclose(rate[3:7], 0.005, rtol=1e-6)


def test_pattern_generation() -> None:
    held = model("pattern", "clock", steps=20, batch=3, n_out=2)
    drawn = batch(held, "pattern")
    assert np.ptp(drawn.fields["a1"], axis=0).max() == 0  # drawn once for all samples
    np.testing.assert_array_equal(drawn.fields["p3"], batch(held, "pattern", 5).fields["p3"])
    wave = traces(held, drawn, 20, "y.target")[:, 0]
    t, f = np.arange(20)[:, None], drawn.fields
    expected = sum(
        f[f"a{k}"][0] * np.sin(2 * np.pi * k * t / 20 + f[f"p{k}"][0]) for k in (1, 2, 3, 5)
    )
    np.testing.assert_allclose(wave, expected, atol=1e-5)
    clock = traces(held, drawn, 20, "x.rate")[:, 0]
    np.testing.assert_array_equal(clock.argmax(axis=1) // 4, np.arange(20) // 4)


STREAM = """edition 1
neuron unit { input i; state v = 0; v := 0.5 * v + i }
population a : unit[3]
task numbers(batch = 4, size = 12) {
  draw x[3] ~ normal(0, 1)
  draw n ~ poisson(3)
  field both[3] = x * n + index
  field label = n > 2
}
loss E = mean(sum((a.v@run - sample.both)^2))
population one : std.one[1]
projection W : one -> a dense delay 0 {
  weight w = 0
  deliver i += w * pre.s
  learn bptt(loss = E, optimise = sgd(rate = 0.1 * 0.8^iteration))
}
allow non_local on bptt because "the true gradient"
protocol train(iterations = 5) {
  each iteration {
    each batch of numbers limit 2 { reset; phase run 2 steps; update W }
    when iteration % 2 == 0 { evaluate test(numbers) as seen limit 3 batches }
  }
}
protocol test(split) { each batch of split { reset; phase run 2 steps } }
metric error = mean(sum((a.v@run - sample.both)^2))
"""


def draws(size: int) -> dict[str, np.ndarray]:
    held = netdsl.compile(STREAM, "numpy", set={"numbers.batch": size})
    opened = held.datasets.open(SplitRef("numbers", ""))
    found = list(held.datasets.batches(opened, training=True, epoch=2, repetition=0))
    return {n: np.concatenate([b.fields[n] for b in found]) for n in found[0].fields}


def test_draws_belong_to_samples_whatever_the_batch() -> None:
    four, six = draws(4), draws(6)
    for name, values in four.items():
        assert len(values) == 12
        np.testing.assert_array_equal(values, six[name], err_msg=name)
    np.testing.assert_array_equal(four["both"], four["x"] * four["n"][:, None] + np.arange(3))


@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_iterations_are_resumed_bit_for_bit(backend: str, tmp_path: Path) -> None:
    whole = netdsl.compile(STREAM, backend).run(out=tmp_path / "whole")
    begun = netdsl.compile(STREAM, backend).run(epochs=3, out=tmp_path / "begun", test=False)
    assert begun.directory is not None and whole.directory is not None
    more = netdsl.compile(STREAM, backend).run(epochs=5, resume=begun.directory)
    assert more.metrics["test"] == whole.metrics["test"]
    assert set(whole.metrics) == {"seen", "test"}
    left, right = (np.load(r.directory / "weights.npz") for r in (whole, more))  # type: ignore[operator]
    np.testing.assert_array_equal(left["W.w"], right["W.w"])
    log = (whole.directory / "metrics.csv").read_text().split()
    rows = [",".join(line.split(",")[:2]) for line in log]
    assert rows == ["iteration,split", "1,seen", "3,seen", "5,seen", "5,test"]


def test_an_evaluation_is_the_same_whatever_ran_before() -> None:
    held = netdsl.compile(STREAM, "numpy")
    before = held.evaluate("test", "numbers").metrics
    held.run(epochs=0)
    assert held.evaluate("test", "numbers").metrics == before


def test_a_file_may_stand_for_a_task(tmp_path: Path) -> None:
    file = tmp_path / "numbers.npz"
    both = np.arange(15.0).reshape(5, 3)
    np.savez(file, both=both, label=np.arange(5) % 2)
    held = netdsl.compile(STREAM, "numpy", data={"numbers": file})
    opened = held.datasets.open(SplitRef("numbers", ""))
    (one, two) = held.datasets.batches(opened, training=True, epoch=0, repetition=0)
    np.testing.assert_array_equal(np.concatenate([one.fields["both"], two.fields["both"]]), both)
    assert "test" in held.run(epochs=1).metrics


def test_limits_of_evaluations_count_samples_or_batches() -> None:
    for text, samples in (("3 batches", 12), ("3 samples", 3), ("6", 6), ("1 batch", 4)):
        held = netdsl.compile(STREAM.replace("limit 3 batches", f"limit {text}"), "numpy")
        (step,) = [s for s in all_steps(held.network) if isinstance(s, Evaluate)]
        assert step.limit is not None and held.session.evaluate(step.limit) == samples


def test_a_loss_of_two_means_and_two_populations() -> None:
    """Central differences of the metric of the same text."""
    text = """edition 1
neuron cell { input i; state v = 0; v := 0.5 * v + tanh(i) }
population x : std.one[1]
population a : cell[3]
population b : cell[2]
task goals(batch = 4) { draw goal[2] ~ normal(0, 1) }
loss E = mean(sum((b.v@run - sample.goal)^2)) + 0.5 * mean(sum((mean(a.v over run) - 0.2)^2))
projection V : x -> a dense delay 0 {
  weight w ~ normal(0, 1); deliver i += w * pre.s; learn bptt(loss = E) }
projection W : a -> b dense delay 0 {
  weight w ~ normal(0, 1); deliver i += w * pre.v; learn bptt(loss = E) }
allow non_local on bptt because "the true gradient"
protocol train(iterations = 1) {
  each iteration { each batch of goals { reset; phase run 3 steps; update V, W } }
}
metric E1 = mean(sum((b.v@run - sample.goal)^2)) + 0.5 * mean(sum((mean(a.v over run) - 0.2)^2))
protocol look(split) { each batch of split { reset; phase run 3 steps } }
"""
    held = netdsl.compile(text, "numpy", dtype="float64", observe=["V.dw", "W.dw"])
    drawn = batch(held, "goals")
    held.reserve(4)
    held.session.load(drawn.fields, drawn.keys, 0, 0)

    def loss() -> float:
        held.reset()
        seen = []
        for _ in range(3):
            held.step(1, "run", "train")
            seen.append(np.array(held.state["a.v"]))
        wrong = (np.asarray(held.state["b.v"]) - drawn.fields["goal"]) ** 2
        calm = (np.mean(seen, axis=0) - 0.2) ** 2
        return float(wrong.sum(1).mean() + 0.5 * calm.sum(1).mean())

    weights = {name: np.array(held.state[f"{name}.w"]) for name in "VW"}
    loss()
    held.update()
    changes = {name: np.array(held.state[f"{name}.dw"]) for name in "VW"}
    for name, start in weights.items():
        held.state[f"{name}.w"] = start
    for name, start in weights.items():
        sides = []
        for move in (1e-5, -1e-5):
            moved = start.copy()
            moved[0, 1] += move
            held.state[f"{name}.w"] = moved
            sides.append(loss())
        held.state[f"{name}.w"] = start
        assert changes[name][0, 1] == pytest.approx((sides[1] - sides[0]) / 2e-5, rel=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_signals_alike(backend: str) -> None:
    if missing(backend):
        pytest.skip(f"no compiler for {backend}")
    found = []
    for name in ("numpy", backend):
        held = model("cues", n_cue=3, cue=4, pause=1, delay=3, recall=2, group=2, batch=8)
        held.reserve(8)
        held.session.executor = BACKENDS[name](held.program, {}, rows=8, dtype="float32")
        drawn = batch(held, "cues")
        found.append(traces(held, drawn, 19, "x.rate"))
        assert held.state["x.total"].sum() > 0
    np.testing.assert_array_equal(*found)
