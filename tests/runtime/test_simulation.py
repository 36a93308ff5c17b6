"""Protocols without data: one row, from the seed, on every backend."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import netdsl as nd
from netdsl.backends.cupy import shim
from netdsl.diagnostics import DiagnosticError
from netdsl.frontend import check
from netdsl.runtime.backend import BACKENDS as BY_NAME
from netdsl.runtime.engine import Interpreter
from netdsl.runtime.errors import RunFault
from netdsl.runtime.rundir import RunDir
from netdsl.runtime.training import Settings, Training
from netdsl.tools.compare import compare_models
from tests.cli.command import Command

SPEC = """\
edition 1
dt = 1 ms
control gain = 1
global state level = 0.2
neuron src {{ input rate; s ~ bernoulli(rate) }}
neuron cell {{
  input j; state v ~ uniform(0, 0.5); v := 0.9 * v + gain * j
  spike s when v > 1 {{ v := 0 }}
}}
population a : src[20]
population net : cell[10]
rule hebb {{ dw = 0.001 * pre.s * post.s }}
projection W : a -> net dense delay 3 steps {{
  weight w ~ uniform(0, 0.2); deliver j += w * pre.s; learn hebb()
}}
readout n = count(net.s over run)
readout top = argmax(net.v@run)
metric rate = mean(mean(n))
metric weight = mean(W.w)
{more}
"""
ONE = """\
protocol simulate(trials = 3) {
  reset
  clamp a.rate = level
  phase warm 5 ms
  set net.v := 0.5 * net.v
  repeat { level := level + 0.01; phase run 20 ms learning } until level > 0.3 limit trials
  when level > 0.1 { phase run 10 ms { gain = 2 } }
  evaluate probe as probe
}
protocol probe { reset; clamp a.rate = 0.3; phase look 20 ms }
readout early = mean(net.v over warm)
metric probed = mean(mean(count(net.s over look))) on probe
"""
ROUNDS = """\
protocol simulate(iterations = 4) {
  each iteration { reset; clamp a.rate = 0.2; phase run 20 ms }
}
"""
BACKENDS = ("numpy", "native")


class StopAfter(Training):
    """Asks for a stop when so many phases have run, as Ctrl-C would."""

    phases = 0

    def after_phase(self, interpreter: Interpreter) -> None:
        super().after_phase(interpreter)
        if interpreter.place.batches == self.phases:
            signal.raise_signal(signal.SIGINT)


def text(more: str = ONE) -> str:
    return SPEC.format(more=more)


@pytest.fixture(scope="module", params=[*BACKENDS, "shim"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """The third is generated CUDA on the CPU."""
    if request.param == "shim" and shim.compiler() is None:
        pytest.skip("no g++ for CUDA on the CPU")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BY_NAME, "shim", (shim.__name__, shim.ShimExecutor.__name__))
        yield str(request.param)


def test_a_run_reports_metrics_and_readouts(backend: str) -> None:
    model = nd.compile(text(), backend, dtype="float64")
    result = model.run()
    assert result.metrics.keys() == {"probe", "simulate"}
    found, readouts = result.metrics["simulate"], result.readouts
    assert found.keys() == {"rate", "weight", "n", "top", "early"}
    assert result.metrics["probe"].keys() == {"probed", "weight"}
    assert readouts["n"].shape == (10,) and readouts["top"].shape == ()
    assert found["n"] == found["rate"] == readouts["n"].mean() > 0
    assert readouts["top"] == np.argmax(model.state["net.v@run"][0])
    assert found["weight"] == model.state["W.w"].mean()
    assert model.session.rows == 1 and model.session.host["gain"] == 1
    again = nd.compile(text(), backend, dtype="float64").run()
    assert again.metrics == result.metrics
    other = nd.compile(text(), backend, dtype="float64", seed=1).run()
    assert other.metrics != result.metrics


def test_backends_agree() -> None:
    models = [nd.compile(text(), name, dtype="float64") for name in BACKENDS]
    found = compare_models(models[0], models[1], batches=10, tolerance=1e-12)
    assert found.ok and found.steps == 5 + 3 * 20 + 10, found.render()
    runs = [nd.compile(text(), name, dtype="float64").run().metrics for name in BACKENDS]
    assert runs[0]["simulate"] == pytest.approx(runs[1]["simulate"], rel=1e-9)


def test_by_hand_it_is_the_same() -> None:
    plain = "protocol simulate { reset; phase warm 5 ms; phase run 20 ms }\n"
    spec = text(plain).replace("bernoulli(rate)", "bernoulli(0.3)").replace("input rate; ", "")
    run = nd.compile(spec, "numpy").run()
    phases, steps = (nd.compile(spec, "numpy") for _ in range(2))
    phases.reset()
    phases.phase("warm")
    phases.phase("run")
    assert np.array_equal(phases.state["net.s@count:run"][0], run.readouts["n"])
    steps.reset()
    steps.step(5, "warm")
    steps.step(20, "run")
    assert np.array_equal(steps.state["net.s@count:run"][0], run.readouts["n"])


def test_each_round_has_draws_of_its_own() -> None:
    model = nd.compile(text(ROUNDS), "numpy", observe=["a.s"])
    seen = []
    plain = model.session.executor.call

    def call(routine: str, *args: int) -> None:
        plain(routine, *args)
        if routine.startswith("reset:net"):
            seen.append(model.state["net.v"].copy())

    model.session.executor.call = call  # type: ignore[method-assign]
    model.run()
    assert len(seen) == 5 and len({value.tobytes() for value in seen}) == 5


def test_a_run_goes_on_where_it_was_stopped(backend: str, tmp_path: Path) -> None:
    whole = nd.compile(text(), backend, dtype="float64").run(out=tmp_path)
    model = nd.compile(text(), backend, dtype="float64")
    settings = Settings(protocol="simulate", out=tmp_path)
    stopping = StopAfter(model, settings)
    stopping.phases = 3
    stopped = stopping.run()
    assert stopped.interrupted and stopped.directory is not None
    model = nd.compile(text(), backend, dtype="float64")
    result = model.run(resume=stopped.directory)
    assert result.metrics == whole.metrics
    assert all(np.array_equal(result.readouts[k], v) for k, v in whole.readouts.items())
    stored = np.load(stopped.directory / "readouts.npz")
    assert np.array_equal(stored["n"], whole.readouts["n"])
    assert [row["split"] for row in RunDir.open(stopped.directory).metrics()] == [
        "probe",
        "simulate",
    ]


def test_evaluations_repeat(backend: str) -> None:
    model = nd.compile(text(), backend)
    before = model.state["W.w"]
    first, again = model.evaluate("probe"), model.evaluate("probe")
    assert first.label == "probe" and first.metrics == again.metrics and first.samples == 1
    assert np.array_equal(model.state["W.w"], before)
    with pytest.raises(RunFault, match="learns"):
        model.evaluate("simulate")


def test_beside_data() -> None:
    data = (
        'data digits { source = "digits"; batch = 4; split train = train; split test = test }\n'
        "protocol train { each batch of digits.train { reset; phase run 5 ms } }\n"
        "protocol test(split) { each batch of split { reset; phase run 5 ms } }\n"
        "metric right = mean(argmax(n) == sample.label)\n"
    )
    model = nd.compile(text(ROUNDS + data), "numpy", data={"digits": "/nowhere"})
    result = model.run("simulate")
    assert result.metrics.keys() == {"simulate"} and "right" not in result.metrics["simulate"]


LABELLED = SPEC.replace("0.9 * v +", "0.9 * v + sample.label +")


def test_a_sample_that_is_not_there_is_an_error_with_a_line() -> None:
    spec = LABELLED.format(more="protocol simulate { reset; phase run 5 ms }")
    (found,) = [d for d in check(spec).diagnostics if d.severity == "error"]
    assert found.code == "E0535" and "`sample.label`" in found.message and found.primary.line > 1
    model = nd.compile(spec, "numpy")
    with pytest.raises(DiagnosticError, match="presents no samples"):
        model.run()
    model.present(label=np.zeros(2))  # by hand it may be given
    model.phase("run")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"epochs": 3}, "has no epochs"),
        ({"limit": 3}, "has no samples"),
        ({"protocol": "nope"}, "no protocol `nope`"),
    ],
)
def test_what_it_has_not_is_refused(how: dict[str, int], said: str) -> None:
    with pytest.raises(RunFault, match=said) as caught:
        nd.compile(text(), "numpy").run(**how)  # type: ignore[arg-type]
    assert caught.value.code == "E0743"


def test_which_protocol_is_meant() -> None:
    two = "protocol one { phase run 5 ms }\nprotocol two { phase run 5 ms }\n"
    with pytest.raises(RunFault, match="no protocol `train`") as caught:
        nd.compile(text(two), "numpy").run()
    assert "--protocol one" in caught.value.help
    assert nd.compile(text(two), "numpy").run("two").metrics.keys() == {"two"}


def test_nan_is_traced_to_its_line() -> None:
    spec = text(ROUNDS).replace("0.9 * v", "log(0.4 - v / 100 - t / 30) + 0.9 * v")
    with pytest.raises(DiagnosticError, match="NaN first seen in `net.v`.*of `run`") as caught:
        nd.compile(spec, "numpy").run()
    assert caught.value.diagnostics[0].primary.line == 7


def test_an_ensemble() -> None:
    model = nd.compile(text(ROUNDS + "ensemble 3 vary weights\n"), "numpy")
    result = model.run()
    assert np.shape(result.metrics["simulate"]["rate"]) == (3,)
    assert result.readouts["n"].shape == (3, 10) and result.readouts["top"].shape == (3,)


def test_commands(netdsl: Command, tmp_path: Path) -> None:
    spec = tmp_path / "sim.net"
    spec.write_text(text(), encoding="utf-8")
    made = netdsl("run", str(spec), "--backend", "numpy", "--out", str(tmp_path / "runs"))
    assert made.code == 0 and "simulate: n " in made.out and "samples" not in made.err
    run = str(next((tmp_path / "runs").iterdir()))
    tested = netdsl("eval", run, "--protocol", "probe", "--backend", "numpy")
    assert tested.code == 0 and tested.out.startswith("probe: ")
    assert netdsl("run", "--resume", run, "--backend", "numpy").code == 0
    timed = netdsl("bench", str(spec), "--backend", "numpy", "--batches", "2")
    assert timed.code == 0 and "whole run" in timed.out
    refused = netdsl("align", str(spec), "--protocol", "simulate")
    assert refused.code == 1 and "internal" not in refused.err


@pytest.mark.slow
def test_sweeps_and_pictures(netdsl: Command, tmp_path: Path) -> None:
    spec = tmp_path / "sim.net"
    spec.write_text(text(), encoding="utf-8")
    swept = netdsl("sweep", str(spec), "--over", "simulate.trials=1,2", "--backend", "numpy",
                    "--out", str(tmp_path / "sweep"), "--metric", "rate")  # fmt: skip
    assert swept.code == 0, swept.err
    run = str(next((tmp_path / "sweep" / "runs").iterdir()))
    assert netdsl("plot", run).code == 0
