"""The protocol interpreter on a network built by hand, on the NumPy backend."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from netdsl.api import Model
from netdsl.diagnostics import DiagnosticError
from netdsl.frontend import lower_network
from netdsl.ir import protocol as proto
from netdsl.ir.expr import Apply, Const
from netdsl.ir.network import Network
from netdsl.runtime.engine import Hooks, Interpreter
from netdsl.runtime.errors import RunFault
from netdsl.runtime.evaluation import Evaluator
from netdsl.runtime.rundir import RunDir
from netdsl.runtime.training import Settings, Training
from tests.runtime.engine_network import PIXELS, delta_network, ref, write_toy


@pytest.fixture
def source(tmp_path: Path) -> str:
    path = tmp_path / "toy.npz"
    write_toy(path)
    return str(path)


def model_of(network: Network, seed: int = 1, **more: object) -> Model:
    return Model(network, lower_network(network), "numpy", seed, **more)  # type: ignore[arg-type]


def change_train(network: Network, change: object) -> Network:
    """The network with other statements in the training loop's body."""
    train = network.protocols["train"]
    epoch = train.body[0]
    assert isinstance(epoch, proto.Each)
    batches = epoch.body[0]
    assert isinstance(batches, proto.Each)
    body = change(batches.body)  # type: ignore[operator]
    loop = replace(epoch, body=(replace(batches, body=body), *epoch.body[1:]))
    protocols = {**network.protocols, "train": replace(train, body=(loop,))}
    return replace(network, protocols=protocols)


def test_learns_logs_and_saves(source: str, tmp_path: Path) -> None:
    model = model_of(delta_network(source))
    result = model.run(out=tmp_path / "runs")
    assert result.metrics["test"]["accuracy"] > 0.9
    assert result.directory is not None
    run = RunDir.open(result.directory)
    rows = run.metrics()
    assert [row["epoch"] for row in rows if row.get("split") == "dev"] == [1, 2, 3]
    assert [row["batch"] for row in rows if "size" in row][:2] == [4, 8]
    assert rows[-1]["split"] == "test"
    np.testing.assert_array_equal(run.weights()["W.w"], model.state["W.w"])
    assert "W.w" in run.weights(best=True)
    assert run.recordings()["out.r"].shape == (4, 5, 3)
    assert run.params()["seed"] == 1


def test_same_seed_same_weights_other_seed_other_weights(source: str) -> None:
    weights = []
    for seed in (1, 1, 2):
        model = model_of(delta_network(source), seed)
        model.run(epochs=1)
        weights.append(model.state["W.w"])
    np.testing.assert_array_equal(weights[0], weights[1])
    assert np.abs(weights[0] - weights[2]).max() > 1e-3


class StopAfter(Training):
    """Asks for a stop while a given batch runs, as Ctrl-C would."""

    batches = 0

    def room(self, interpreter: Interpreter) -> int:
        return 1

    def after_batch(self, interpreter: Interpreter, batch: object) -> None:
        super().after_batch(interpreter, batch)  # type: ignore[arg-type]
        if interpreter.place.batches == self.batches:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("batches", [1, 7, 10, 13])
def test_interrupted_run_resumes_bit_identically(source: str, tmp_path: Path, batches: int) -> None:
    whole = model_of(delta_network(source))
    reference = whole.run(out=tmp_path / "whole")
    network = delta_network(source)
    stopping = StopAfter(model_of(network), Settings(out=tmp_path / "runs"))
    stopping.batches = batches
    stopped = stopping.run()
    assert stopped.interrupted and stopped.directory is not None
    again = model_of(network)
    finished = again.run(resume=stopped.directory)
    assert not finished.interrupted
    np.testing.assert_array_equal(again.state["W.w"], whole.state["W.w"])
    assert finished.metrics == reference.metrics
    assert reference.directory is not None
    assert RunDir.open(stopped.directory).metrics() == RunDir.open(reference.directory).metrics()


def test_interrupt_handler_is_put_back(source: str) -> None:
    before = signal.getsignal(signal.SIGINT)
    model_of(delta_network(source)).run(epochs=1)
    assert signal.getsignal(signal.SIGINT) is before


def test_evaluation_leaves_the_training_state_alone(source: str) -> None:
    model = model_of(delta_network(source))
    held = model.datasets.open(proto.SplitRef("toy", "train")).split
    model.present(image=held.fields["image"][:4], label=held.fields["label"][:4])
    model.reset()
    model.phase("free", "train")
    names = [name for name in model.program.buffers if "@" not in name]
    model.session.set_host("beta", -1.0)
    before = {name: model.state[name] for name in names}
    result = model.evaluate("test", "dev")
    assert result.samples == 20
    assert model.session.host["beta"] == -1.0
    for name in names:
        np.testing.assert_array_equal(model.state[name], before[name], err_msg=name)


def test_evaluation_is_independent_of_the_batch_size(source: str) -> None:
    found = []
    for size in (3, 7, 16):
        network = delta_network(source)
        data = replace(network.data["toy"], eval_batch=size)
        model = model_of(replace(network, data={"toy": data}), rows=16)
        found.append(model.evaluate("test", "test").metrics)
    assert found[0] == found[1] == found[2]


def test_best_parameters_are_restored(source: str) -> None:
    network = delta_network(source)
    train = network.protocols["train"]
    body = (*train.body, proto.Restore("best"))
    network = replace(network, protocols={**network.protocols, "train": replace(train, body=body)})
    model = model_of(network)
    training = Training(model, Settings())
    kept: list[np.ndarray] = []
    training.kept = lambda name, it: kept.append(it.kept[name]["W.w"])  # type: ignore[method-assign]
    training.run()
    # Accuracy reaches 1 in the first epoch and ties do not replace it.
    assert len(kept) == 1
    np.testing.assert_array_equal(model.state["W.w"], kept[0])


def test_controls_hold_for_their_phase_only(source: str) -> None:
    network = delta_network(source)

    def nudge(body: tuple[proto.Step, ...]) -> tuple[proto.Step, ...]:
        return tuple(
            replace(step, controls=(("nudge", Const(0.5)),))
            if isinstance(step, proto.RunPhase)
            else step
            for step in body
        )

    model = model_of(change_train(network, nudge))
    seen: list[float] = []
    plain = model.session.executor.call

    def call(routine: str, *args: int, **named: int) -> None:
        if routine == "train.free":
            seen.append(model.session.host["nudge"])
        plain(routine, *args, **named)

    model.session.executor.call = call  # type: ignore[method-assign]
    model.run(epochs=1)
    assert set(seen) == {0.5}
    assert model.session.host["nudge"] == 0


def test_random_signs_are_counter_based_and_survive_a_resume(source: str, tmp_path: Path) -> None:
    sign = proto.SetGlobal("beta", Apply("random_sign", ()))

    class Signs(StopAfter):
        seen: list[float]

        def after_batch(self, interpreter: Interpreter, batch: object) -> None:
            self.seen.append(self._model.session.host["beta"])
            super().after_batch(interpreter, batch)

    def run(resume: Path | None, stop: int) -> tuple[list[float], Path]:
        model = model_of(change_train(delta_network(source), lambda body: (sign, *body)))
        training = Signs(model, Settings(out=tmp_path / "runs", resume=resume))
        training.seen, training.batches = [], stop
        directory = training.run().directory
        assert directory is not None
        return training.seen, directory

    whole, _ = run(None, -1)
    assert set(whole) == {-1.0, 1.0}
    first, directory = run(None, 8)
    rest, _ = run(directory, -1)
    assert first + rest == whole


def test_repeat_and_choose(source: str) -> None:
    grow = proto.SetGlobal("beta", Apply("add", (ref("beta"), Const(1))))
    repeat = proto.Repeat((grow,), Apply("ge", (ref("beta"), Const(5))), Const(20))
    first = Apply("eq", (ref("batch.index"), Const(0)))
    choose = proto.Choose(first, (repeat,), (proto.SetGlobal("beta", Const(0)),))
    network = change_train(delta_network(source), lambda body: (choose, *body))
    variables = dict(network.variables)
    variables["batch.index"] = replace(variables["epoch"], path="batch.index")
    model = model_of(replace(network, variables=variables))
    seen: list[float] = []

    class Watch(Hooks):
        def after_batch(self, interpreter: Interpreter, batch: object) -> None:
            seen.append(model.session.host["beta"])

    Interpreter(model.session, model.datasets, Watch()).run(network.protocols["train"])
    assert seen[:3] == [5.0, 0.0, 0.0]


def test_nan_is_traced_to_its_variable_sample_and_step(source: str) -> None:
    network = delta_network(source)
    out = network.populations["out"]
    grow = replace(out.body[0], value=Apply("div", (ref("out.r"), ref("out.r"))))  # type: ignore[arg-type]
    body = {**network.populations, "out": replace(out, body=(grow,))}
    with pytest.raises(DiagnosticError) as caught:
        model_of(replace(network, populations=body)).run(epochs=1)
    found = caught.value.diagnostics[0]
    assert found.code == "E0416"
    assert found.message.startswith("NaN first seen in `out.r`, sample 0, step 0 of `free`")
    assert f"from line {out.variables['out.r'].span.line}" in found.message  # type: ignore[union-attr]


def test_diverging_weights_are_reported(source: str) -> None:
    network = delta_network(source)
    rule = network.projections["W"].rule
    assert rule is not None and rule.dw is not None
    huge = replace(rule, dw=Apply("mul", (Const(1e30), rule.dw)))
    edges = {"W": replace(network.projections["W"], rule=huge)}
    with pytest.raises(DiagnosticError, match="first seen in"):
        model_of(replace(network, projections=edges)).run(epochs=1)


def test_more_memory_than_the_machine_has_is_refused(source: str) -> None:
    model = model_of(delta_network(source), rows=10**12)
    with pytest.raises(RunFault) as caught:
        model.run()
    assert caught.value.code == "E0820"
    assert "GiB" in caught.value.message and "`img.v`" in caught.value.message


def test_evaluator_reports_metrics_of_shared_values(source: str) -> None:
    network = delta_network(source)
    metrics = {"size": replace(network.metrics["size"], every=None)}
    model = model_of(replace(network, metrics=metrics))
    evaluator = Evaluator(model.session, model.datasets)
    split = (proto.SplitRef("toy", "dev"),)
    found = evaluator.run(network.protocols["test"], split, "dev")
    assert found.metrics["size"] == pytest.approx(float(model.state["W.w"].mean()))
    assert model.state["W.w"].shape == (PIXELS, 3)
