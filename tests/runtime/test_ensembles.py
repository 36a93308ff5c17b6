"""Ensembles: each member is the network that it would be by itself, bit for bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netdsl
from netdsl.backends.cupy import shim
from netdsl.diagnostics import DiagnosticError
from netdsl.ir.ensemble import Member
from netdsl.runtime import backend
from netdsl.runtime.errors import RunFault
from netdsl.runtime.initial import initial_values
from netdsl.runtime.training import Settings, Training
from netdsl.tools.compare import compare_models
from tests.backends import test_cuda_golden
from tests.cli.command import Command
from tests.runtime.test_engine import StopAfter

SPEC = """\
edition 1
dt = 1 ms
param m : count = 3
{ensemble}
neuron pixel {{ input p; s ~ bernoulli(p) }}
neuron cell {{
  param gain per neuron ~ uniform(0.5, 1)
  input j
  state v = 0; state slow = 0 keep
  v := 0.9 * v + gain * j; slow := 0.99 * slow + 0.01 * v
  spike s when v > 1 + 0.1 * slow {{ v := 0 }}
  trace z of s {{ tau = 5 ms }}
}}
neuron class {{
  input j; state y ~ normal(0, 0.1); y := 0.9 * y + j
  def err = onehot(sample.label) - softmax(y)
}}
population img : pixel[64]
population h : cell[12]
population out : class[10]
rule delta {{ dw = 0.05 * pre.z * post.err; reduce mean over batch }}
rule late {{
  state g = 0; g := g + pre.s * post.z; at update {{ dw = g / 100 }} optimise adam(rate = 0.01)
}}
projection W : img -> h dense delay 1 step {{
  weight w ~ normal(0, 0.5); deliver j += w * pre.s; learn late()
}}
projection R : h -> h sparse(p = 0.05) delay 3 steps {{
  weight w ~ uniform(-1, 1); deliver j += w * pre.s
}}
projection V : h -> out dense delay 0 {{
  weight w ~ xavier_uniform; deliver j += w * pre.s; learn delta()
}}
data digits {{
  source = "digits"; batch = 16; eval_batch = 20
  split train = train[0, 40]; split test = test[0, 20]
}}
protocol train(epochs = 2) {{
  each epoch {{
    each batch of digits.train {{
      reset; clamp img.p = 0.5 * sample.image
      repeat {{ phase run 4 steps learning }} until epoch >= 0 limit 2
      update W
    }}
    evaluate test(digits.test) as test
    checkpoint best by accuracy on test
  }}
  {end}
}}
protocol test(split) {{
  each batch of split {{ reset; clamp img.p = 0.5 * sample.image; phase run 6 steps }}
}}
metric accuracy = mean(argmax(out.y@run) == sample.label)
metric rate = mean(mean(count(h.s over run))) every 2 batches
"""
LINE = "ensemble m vary weights"
BACKENDS = ["numpy", "native", "shim"]


def text(line: str = LINE, end: str = "restore best") -> str:
    return SPEC.format(ensemble=line, end=end)


@pytest.fixture(autouse=True)
def on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    place = (test_cuda_golden.__name__, test_cuda_golden.OneThread.__name__)
    monkeypatch.setitem(backend.BACKENDS, "shim", place)


def compiled(line: str = LINE, name: str = "numpy", **more: Any) -> netdsl.Model:
    if name == "shim" and shim.compiler() is None:
        pytest.skip("no g++ for CUDA on the CPU")
    return netdsl.compile(text(line), name, seed=4, **more)


def equal(one: dict[str, Any], other: dict[str, Any], what: str = "") -> None:
    assert set(one) == set(other)
    for name, expected in other.items():
        np.testing.assert_array_equal(one[name], expected, f"{what} {name}")


@pytest.mark.parametrize("name", BACKENDS)
def test_members_are_networks_by_themselves(name: str) -> None:
    """Member 0 is the run without the line, and members do not depend on how many there are."""
    alone, few, more = compiled("", name), compiled(name=name), compiled(name=name, set={"m": 4})
    found = [model.run(epochs=1).metrics["test"]["accuracy"] for model in (alone, few, more)]
    states = [model.session.lasting() for model in (alone, few, more)]
    for buffer, value in states[0].items():
        given = not few.session.executor.lead(buffer)
        for held, count in zip(states[1:], (3, 4), strict=True):
            assert given or len(held[buffer]) == count
            np.testing.assert_array_equal(held[buffer] if given else held[buffer][0], value, buffer)
        np.testing.assert_array_equal(states[1][buffer], states[2][buffer][: None if given else 3])
    assert found[1].shape == (3,) and found[1][0] == found[0]
    np.testing.assert_array_equal(found[2][:3], found[1])
    assert len({w.tobytes() for w in more.state["V.w"]}) == 4
    assert (more.state["h.gain"] == more.state["h.gain"][0]).all()


def test_backends_agree() -> None:
    models = [compiled(name=name, dtype="float64") for name in ("numpy", "native")]
    accuracies = [model.run().metrics["test"]["accuracy"] for model in models]
    np.testing.assert_array_equal(*accuracies)
    for name, value in models[0].session.parameters().items():
        np.testing.assert_allclose(models[1].state[name], value, rtol=1e-9, atol=1e-12)


def test_draws_of_members_are_their_own() -> None:
    """Weights of members are not correlated; what does not vary is drawn alike."""
    program = compiled().program
    vary = ("weights",)
    drawn = [initial_values(program, 4, Member(k, vary)) for k in range(20)]
    w = np.stack([values[program.find("W.w") or ""].ravel() for values in drawn])
    off = np.corrcoef(w)[np.triu_indices(20, 1)]
    assert abs(off.mean()) < 0.01 and abs(off).max() < 4.5 / np.sqrt(w.shape[1])
    assert abs(w.mean()) < 0.02 and abs(w.std() - 0.5) < 0.02
    equal(drawn[0], initial_values(program, 4))
    for name, buffer in program.buffers.items():
        if name in drawn[0] and buffer.of in ("h.gain", "R.mask"):
            assert all((values[name] == drawn[0][name]).all() for values in drawn)
    both = initial_values(program, 4, Member(3, ("weights", "parameters")))
    assert (both[program.find("h.gain") or ""] != drawn[3][program.find("h.gain") or ""]).all()


def test_parameters_may_vary_alone() -> None:
    model = compiled("ensemble 3 vary parameters")
    assert (model.state["W.w"] == model.state["W.w"][0]).all()
    assert len(np.unique(model.state["h.gain"][:, 0])) == 3


def test_runs_go_on(tmp_path: Path) -> None:
    """Bit by bit, with checkpoints of each member at its own best."""
    whole = compiled()
    first = whole.run(out=tmp_path / "whole")
    stopping = StopAfter(compiled(), Settings(out=tmp_path / "runs"))
    stopping.batches = 4
    stopped = stopping.run()
    assert stopped.interrupted and stopped.directory and first.directory
    again = compiled()
    second = again.run(resume=stopped.directory)
    equal(again.session.parameters(), whole.session.parameters())
    for name in ("weights.npz", "best.npz", "metrics.jsonl"):
        assert (stopped.directory / name).read_bytes() == (first.directory / name).read_bytes()
    np.testing.assert_array_equal(
        second.metrics["test"]["accuracy"], first.metrics["test"]["accuracy"]
    )
    loaded = compiled(name="native")
    loaded.load_state(first.directory / "weights.npz")
    assert loaded.state["W.w"].shape == (3, 64, 12)
    with pytest.raises(RunFault) as fault:
        compiled("").load_state(first.directory / "weights.npz")
    assert fault.value.code == "E0722"


def test_each_member_keeps_its_best() -> None:
    """What `restore` gives a member is what it gives the network by itself."""
    model = compiled(set={"m": 4})
    training = Training(model, Settings())
    training.run()
    rows = []
    model = compiled(set={"m": 4})
    before = Training.evaluated

    def note(self: Training, label: str, metrics: Any, interpreter: Any) -> None:
        rows.append((metrics["accuracy"], model.session.parameters()["V.w"]))
        before(self, label, metrics, interpreter)

    Training.evaluated = note  # type: ignore[method-assign]
    try:
        model.run(test=False)
    finally:
        Training.evaluated = before  # type: ignore[method-assign]
    (first, w1), (second, w2) = rows
    assert (second > first).any() and not (second > first).all()  # else this shows nothing
    expected = np.where((second > first)[:, None, None], w2, w1)
    np.testing.assert_array_equal(model.state["V.w"], expected)


def test_by_hand() -> None:
    model = compiled(name="native")
    model.present(**model.samples("test", 5))
    model.reset()
    model.step(3, phase="run", protocol="test")
    assert model.state["h.v"].shape == (3, 5, 12) and model.state["sample.label"].shape == (5,)
    model.state["h.v"] = np.arange(3.0)[:, None, None] + np.zeros((3, 5, 12))
    assert [v.mean() for v in model.state["h.v"]] == [0, 1, 2]
    model.state["V.w"] = np.ones((12, 10))
    assert (model.state["V.w"] == 1).all()
    with pytest.raises(RunFault, match="3 members lead"):
        model.state["V.w"] = np.ones((2, 12, 10))


def test_recordings_have_members_in_front() -> None:
    line = f"{LINE}\nrecord h.s on test limit 3 samples"
    found, alone = (
        netdsl.compile(text(held), "numpy", seed=4).evaluate().recordings
        for held in (line, line.split("\n")[1])
    )
    assert found["h.s"].shape == (3, 6, 3, 12) and found["label"].shape == alone["label"].shape
    equal({key: a if key == "label" else a[0] for key, a in found.items()}, alone)


def test_a_fault_names_the_member() -> None:
    model = netdsl.compile(text(end="").replace("0.05 * pre.z", "0.05 / (w + 3) * pre.z"), "numpy")
    w = model.state["V.w"].copy()
    w[2, 4, 5] = -3
    model.state["V.w"] = w
    with pytest.raises(DiagnosticError) as fault:
        model.run()
    said = str(fault.value)
    assert "E0416" in said and "member 2 of the ensemble" in said and "from line" in said


def test_tools_take_member_0(capsys: pytest.CaptureFixture[str]) -> None:
    result = compare_models(compiled(), compiled(), 2)
    assert result.ok
    assert "`compare` is of one network: member 0" in capsys.readouterr().err


def test_memory_counts_members() -> None:
    one, three = (compiled(line).show("memory") for line in ("", LINE))
    assert "3 members" in three and "members" not in one


WRONG = [
    ("ensemble 3 vary draws", "E0831"),
    ("ensemble 0 vary weights", "E0204"),
    ("ensemble 3 vary wieghts", "E0101"),
    ("ensemble 3 vary weights\nensemble 4 vary weights", "E0102"),
]


@pytest.mark.parametrize(("line", "code"), WRONG)
def test_wrong_lines(line: str, code: str) -> None:
    with pytest.raises(DiagnosticError) as fault:
        netdsl.compile(text(line), "numpy")
    assert {d.code for d in fault.value.diagnostics} == {code}


def test_global_states_are_not_restored_for_each_member() -> None:
    with pytest.raises(DiagnosticError) as fault:
        netdsl.compile(text(f"{LINE}\nglobal state beta = 1"), "numpy")
    assert "E0791" in {d.code for d in fault.value.diagnostics}


def test_the_command_line(netdsl: Command, tmp_path: Path) -> None:
    spec = tmp_path / "e.net"
    spec.write_text(text())
    done = netdsl(
        "run", spec, "--quiet", "--backend", "numpy", "--seeds", "2", "--out", tmp_path / "r"
    )
    assert done.code == 0, done.err
    assert done.out.count("test: accuracy") == 2 and "median" in done.out
    run = next((tmp_path / "r").iterdir())
    tested = netdsl("eval", run)
    assert tested.code == 0 and "median" in tested.out
    header = (run / "metrics.csv").read_text().splitlines()[0]
    assert (
        "accuracy,accuracy.median,accuracy.sd,accuracy.min,accuracy.max,accuracy.members" in header
    )
