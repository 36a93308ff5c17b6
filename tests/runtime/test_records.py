"""`record`: in simulations, training and evaluations, of all that a network has."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netdsl as nd
from netdsl.backends.cupy import shim
from netdsl.diagnostics import DiagnosticError
from netdsl.frontend import check
from netdsl.runtime import recordings
from netdsl.runtime.backend import BACKENDS as BY_NAME
from netdsl.runtime.engine import Interpreter
from netdsl.runtime.errors import RunFault
from netdsl.runtime.training import Settings, Training
from netdsl.syntax.fmt import format_source
from tests.cli.command import Command

HEAD = """\
edition 1
dt = 0.5 ms
neuron src {{ input rate; s ~ bernoulli(rate) }}
neuron cell {{
  input j; state v ~ uniform(0, 0.5); v := 0.9 * v + j; spike s when v > 1 {{ v := 0 }}
}}
population a : src[64]
population net : cell[10]
modulator m on net {{ scope population; emit mean(s) }}
rule hebb {{ dw = 0.01 * pre.s * post.s * m }}
projection W : a -> net dense delay 1 step {{
  weight w ~ uniform(0, 0.2); deliver j += w * pre.s; learn hebb()
}}
{more}
"""
ALONE = """\
record net.s
record net.v of [5, 0] every 1 ms during run
record net.j
record m.net
record W.w every 4 steps in simulate
protocol simulate { reset; phase warm 4 ms; phase run 8 ms learning; phase run 1 ms }
"""
DATA = """\
data digits { source = "digits"; batch = 4; split train = train[0, 12]; split test = test[0, 6] }
protocol train(epochs = 2) {
  each epoch { each batch of digits.train {
    reset; clamp a.rate = 0.3 * sample.image; phase show 5 ms learning
  } }
}
protocol test(split) {
  each batch of split { reset; clamp a.rate = 0.3 * sample.image; phase look 4 ms }
}
"""
TRAINED = """\
record net.v in train limit 6 samples
record W.w every 5 steps during show in train
"""


def alone(more: str = ALONE) -> str:
    text = HEAD.format(more=more).replace("bernoulli(rate)", "bernoulli(0.2)")
    return text.replace("input rate; ", "")


def trained(more: str = TRAINED) -> str:
    return HEAD.format(more=DATA + more)


@pytest.fixture(scope="module", params=["numpy", "native", "shim"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """The third is generated CUDA on the CPU."""
    if request.param == "shim" and shim.compiler() is None:
        pytest.skip("no g++ for CUDA on the CPU")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(BY_NAME, "shim", (shim.__name__, shim.ShimExecutor.__name__))
        yield str(request.param)


def test_a_simulation_is_what_steps_by_hand_show(backend: str) -> None:
    found = nd.compile(alone(), backend, dtype="float64").run().recordings
    model = nd.compile(alone(), backend, dtype="float64")
    model.reset()
    seen: dict[str, list[Any]] = {"net.s": [], "net.v": [], "net.j": [], "m.net": [], "W.w": []}
    phases = [("warm", 8, 0), ("run", 16, 1), ("run", 2, 2)]
    step_of = [s for s in model.network.protocols["simulate"].body if hasattr(s, "steps")]
    for _, steps, number in phases:
        for index in range(steps):
            last = None if index + 1 == steps else index + 1
            model.session.executor.call(step_of[number].site, steps, index, last)
            for path, values in seen.items():
                values.append(np.array(model.state[path]))
    for path in ("net.s", "net.j", "m.net"):
        assert np.array_equal(found[path], np.stack(seen[path])), path
    assert found["net.s"].shape == (26, 1, 10) and found["net.s"].any() and found["net.j"].any()
    taken = [8, 10, 12, 14, 16, 18, 20, 22, 24]
    assert np.array_equal(found["net.v"][:, 0], [seen["net.v"][k][0, [5, 0]] for k in taken])
    assert np.array_equal(found["net.v.ms"], [(k + 1) * 0.5 for k in taken])
    assert np.array_equal(found["W.w"], np.stack(seen["W.w"][::4]))
    assert found["W.w"].shape == (7, 64, 10) and (found["W.w"][0] != found["W.w"][-1]).any()
    assert np.array_equal(found["W.w.ms"], np.arange(1, 27, 4) * 0.5)


def test_training_is_recorded_and_not_changed_by_it(backend: str) -> None:
    if backend == "shim":
        pytest.skip("as the others")
    plain = nd.compile(trained(""), backend, dtype="float64")
    plain.run()
    model = nd.compile(trained(), backend, dtype="float64")
    calls: list[tuple[str, int]] = []
    call = model.session.executor.call

    def counted(routine: str, *args: Any) -> None:
        calls.append((routine, len(args)))
        call(routine, *args)

    model.session.executor.call = counted  # type: ignore[method-assign]
    found = model.run().recordings
    assert np.array_equal(model.state["W.w"], plain.state["W.w"])
    assert found["net.v"].shape == (10, 6, 10) and np.array_equal(
        found["net.v.ms"], np.arange(1, 11) * 0.5
    )
    assert found["W.w"].shape == (12, 64, 10)
    assert np.array_equal(found["W.w.ms"], (np.arange(12) * 5 + 1) * 0.5)


def test_after_the_last_sample_phases_are_one_call_again() -> None:
    runs = []
    for more in ("", "record net.v in train limit 4 samples\n"):
        model = nd.compile(trained(more), "native")
        ran, several = model.session.executor.run_chunk, []

        def run_chunk(*args: Any, _ran: Any = ran, _several: list[int] = several) -> Any:
            _several.append(1)
            return _ran(*args)

        model.session.executor.run_chunk = run_chunk  # type: ignore[method-assign]
        model.run(test=False)
        runs.append(len(several))
    assert runs[0] and runs[1]


def test_evaluations_keep_weights_and_labels() -> None:
    more = "record W.w every 4 steps on test limit 4 samples\nrecord net.s of [2] on test\n"
    result = nd.compile(trained(more), "numpy").run()
    found = result.recordings
    assert found["net.s"].shape == (8, 6, 1) and found["label"].shape == (6,)
    assert found["W.w"].shape[1:] == (64, 10) and found["net.s.ms"][-1] == 4


class StopAfter(Training):
    """Asks for a stop when so many phases or batches have run, as Ctrl-C would."""

    def _passed(self, interpreter: Interpreter, index: int) -> None:
        super()._passed(interpreter, index)
        if interpreter.place.batches == 2:
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("spec", [alone(), trained()], ids=["alone", "trained"])
def test_a_run_that_was_stopped_keeps_what_it_had(spec: str, tmp_path: Path) -> None:
    whole = nd.compile(spec, "numpy").run(test=False).recordings
    stopping = StopAfter(nd.compile(spec, "numpy"), Settings(out=tmp_path, test=False))
    stopped = stopping.run()
    assert stopped.interrupted
    nd.compile(spec, "numpy").run(resume=stopped.directory, test=False)
    assert stopped.directory is not None
    stored = np.load(stopped.directory / "recordings.npz")
    assert sorted(stored) == sorted(whole)
    assert all(np.array_equal(stored[key], whole[key]) for key in whole)


def test_each_round_is_a_sample_and_weights_go_on() -> None:
    more = """\
record net.v
record W.w every 10 steps
protocol simulate { each iteration limit 3 { reset; phase run 5 ms learning } }
"""
    found = nd.compile(alone(more), "numpy").run().recordings
    assert found["net.v"].shape == (10, 3, 10)
    assert np.array_equal(found["W.w.ms"], [0.5, 5.5, 10.5])


def test_states_of_rules_and_definitions() -> None:
    more = """\
record W.e every 2 steps
record net.r
protocol simulate { reset; phase run 5 ms learning }
"""
    spec = alone(more).replace(
        "dw = 0.01", "state e = 0; e := 0.9 * e + pre.s * post.s\n dw = 0.01"
    )
    spec = spec.replace("v := 0.9", "def r = tanh(v); v := 0.9")
    found = nd.compile(spec, "numpy", dtype="float64").run().recordings
    model = nd.compile(spec, "numpy", dtype="float64", observe=["net.v"])
    model.reset()
    for step in range(10):
        model.step(1, "run")
        np.testing.assert_allclose(found["net.r"][step], np.tanh(model.state["net.v"]))
        if step % 2 == 0:
            assert np.array_equal(found["W.hebb.e"][step // 2], model.state["W.hebb.e"])
    assert found["W.hebb.e"].any()


def test_rows_without_data_have_no_labels() -> None:
    more = """\
protocol warm { reset; phase warm 4 ms learning }
protocol first { run warm; run train(epochs = 1); evaluate test(digits.test); evaluate warmed }
protocol warmed { reset; phase warm 4 ms }
record net.s in warm
record net.v on warmed
"""
    found = nd.compile(trained(more), "numpy").run("first", test=False).recordings
    assert found["net.s"].shape == (8, 1, 10) and found["net.v"].shape == (8, 1, 10)
    assert "label" not in found


def test_members_lead() -> None:
    found = nd.compile(alone(ALONE + "ensemble 2 vary weights\n"), "numpy").run().recordings
    assert found["net.s"].shape == (2, 26, 1, 10) and found["W.w"].shape == (2, 7, 64, 10)
    assert found["W.w.ms"].shape == (2, 7)


def test_an_evaluated_protocol_without_data() -> None:
    more = """\
record net.s on probe
protocol simulate { reset; phase run 2 ms; evaluate probe }
protocol probe { reset; phase look 3 ms }
"""
    model = nd.compile(alone(more), "numpy")
    assert model.run().recordings["net.s"].shape == (6, 1, 10)
    assert model.evaluate("probe").recordings["net.s"].shape == (6, 1, 10)


def test_memory_is_reckoned_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recordings, "available_bytes", lambda: 1000)
    with pytest.raises(RunFault, match="recordings need") as caught:
        nd.compile(alone(), "numpy").run()
    assert caught.value.code == "E0865" and "`W.w`" in caught.value.message


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("record net.s of [10]", "E0540", "no unit 10"),
        ("record W.w of [1]", "E0540", "no units"),
        ("record net.s in trian", "E0541", "protocol `trian`"),
        ("record net.s on tset", "E0541", "`tset`"),
        ("record net.s during look in train", "E0542", "`train` never runs phase `look`"),
        ("record net.s during nothing", "E0542", "runs phase `nothing`"),
    ],
)
def test_what_cannot_be_recorded_is_an_error(line: str, code: str, said: str) -> None:
    faults = [d for d in check(trained(line), lower=False).diagnostics if d.severity == "error"]
    assert [(d.code, said in d.message) for d in faults] == [(code, True)], faults
    with pytest.raises(DiagnosticError):
        nd.compile(trained(line), "numpy").run()


def test_the_formatter_keeps_the_clauses() -> None:
    line = "record net.s of [0, 5] every 2 ms during run in simulate limit 3 samples\n"
    assert format_source("edition 1\n" + line).endswith(line)


@pytest.mark.slow
def test_pictures(netdsl: Command, tmp_path: Path) -> None:
    spec = tmp_path / "sim.net"
    spec.write_text(alone(), encoding="utf-8")
    assert netdsl("run", str(spec), "--backend", "numpy", "--out", str(tmp_path / "r")).code == 0
    (run,) = (tmp_path / "r").iterdir()
    assert netdsl("plot", str(run)).code == 0
    made = {path.stem for path in (run / "plots").iterdir()}
    assert {"raster-net-s", "traces-net-v", "traces-m-net", "over-time-W-w"} <= made
