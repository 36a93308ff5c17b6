"""Sparse projections stored by synapse mean what they mean as masked matrices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from netdsl.api import Model
from netdsl.backends.cupy import shim
from netdsl.backends.native import available
from netdsl.backends.numpy.executor import NumpyExecutor
from netdsl.frontend import check
from netdsl.ir.program import Edges
from netdsl.passes import lower
from netdsl.runtime import backend as backends
from netdsl.runtime.errors import RunFault
from netdsl.runtime.initial import initial_values
from tests.interpreter import Interpreter

SPEC = Path(__file__).parent / "sparse_recurrent.net"
SPARSE = ("In", "EE", "EI", "IE", "All", "Out")
BACKENDS = [
    pytest.param("numpy"),
    pytest.param("native", marks=pytest.mark.skipif(not available()[0], reason="no C compiler")),
    pytest.param("cupy", marks=pytest.mark.skipif(shim.compiler() is None, reason="no g++")),
]
Array = NDArray[Any]


@pytest.fixture(autouse=True)
def cuda_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The CUDA backend's programs run through the shim."""
    monkeypatch.setitem(backends.BACKENDS, "cupy", ("netdsl.backends.cupy.shim", "ShimExecutor"))


def model_of(backend: str, synapses: str, spec: str | Path = SPEC, **more: Any) -> Model:
    network = check(spec, lower=False).require()
    program = lower(network, synapses=synapses, observe=more.pop("observe", ()))
    return Model(network, program, backend, 3, "float64", **more)


def existing(model: Model) -> dict[str, Array]:
    """Where each projection has synapses."""
    return {
        name: found.matrix().astype(bool)
        for name, found in model.session.executor.connections.items()
    }


def agree(found: dict[str, Array], wanted: dict[str, Array], where: dict[str, Array]) -> None:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        here = where.get(name.split(".")[0])
        if here is not None and value.shape == here.shape:
            assert not found[name][~here].any(), name
            value, own = value[here], found[name][here]
        else:
            own = found[name]
        np.testing.assert_allclose(own, value, rtol=0, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_run_does_not_depend_on_the_layout(backend: str) -> None:
    masked, edges = (model_of("numpy", "masked"), model_of(backend, "edges"))
    assert set(edges.program.layouts) == set(SPARSE) and not masked.program.layouts
    where = existing(edges)
    agree(edges.session.parameters(), masked.session.parameters(), where)
    before = edges.session.parameters()
    for model in (masked, edges):
        model.run(epochs=1, limit=24)
    agree(edges.session.parameters(), masked.session.parameters(), where)
    for name in ("In.w", "EE.w", "EI.mag", "IE.mag", "Out.w"):
        assert not np.array_equal(before[name], edges.state[name]), name
    results = [model.evaluate(split="digits.test", limit=12) for model in (masked, edges)]
    assert results[0].metrics == results[1].metrics
    np.testing.assert_allclose(
        results[0].recordings["net.v"], results[1].recordings["net.v"], rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("strategy", ["dense", "gather"])
@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_a_run_does_not_depend_on_the_form_of_products(backend: str, strategy: str) -> None:
    masked = model_of("numpy", "masked")
    edges = model_of(backend, "edges", options={"strategy": strategy})
    for model in (masked, edges):
        model.run(epochs=1, limit=12, test=False)
    agree(edges.session.parameters(), masked.session.parameters(), existing(edges))


@pytest.mark.parametrize("backend", BACKENDS[:2])
def test_routines_mean_what_the_interpreter_says(backend: str) -> None:
    model = model_of(backend, "edges", rows=5)
    program, executor = model.program, model.session.executor
    keys = np.arange(5, dtype=np.uint64)
    initial = initial_values(program, 3)
    initial["img.p"] = np.full((5, 64), 0.3)
    executor.set_rows(5, keys)
    for name, value in initial.items():
        executor.write(name, value)
    reference = Interpreter(program, initial, 5, keys, 3)
    for name in ("batch.rows", "t"):
        if name in program.buffers:
            executor.write(name, 5.0)
            reference.stored[name][...] = 5.0
    for routine in program.routines.values():
        steps = 4 if routine.kind == "phase" else 0
        executor.call(routine.name, steps)
        reference.call(routine.name, steps)
        for name, expected in reference.state.items():
            np.testing.assert_allclose(
                executor.read(name), expected, rtol=0, atol=1e-12, err_msg=f"{name} {routine.name}"
            )


@pytest.mark.parametrize("backend", BACKENDS)
def test_state_files_are_exchanged(backend: str, tmp_path: Path) -> None:
    masked, edges = model_of("numpy", "masked"), model_of(backend, "edges")
    edges.run(epochs=1, limit=12, test=False)
    edges.save_state(tmp_path / "edges.npz")
    masked.load_state(tmp_path / "edges.npz")
    agree(edges.session.parameters(), masked.session.parameters(), existing(edges))
    for model in (masked, edges):
        model.run(epochs=1, limit=12, test=False)
    agree(edges.session.parameters(), masked.session.parameters(), existing(edges))
    masked.save_state(tmp_path / "masked.npz")
    other = model_of(backend, "edges")
    other.load_state(tmp_path / "masked.npz")
    agree(other.session.parameters(), edges.session.parameters(), existing(edges))


@pytest.mark.parametrize("synapses", ["masked", "edges"])
def test_weights_without_synapses_are_refused(synapses: str, tmp_path: Path) -> None:
    model = model_of("numpy", synapses)
    model.save_state(tmp_path / "state.npz")
    model.seed = 4
    model.close()
    with pytest.raises(RunFault, match="draws no synapse") as caught:
        model.load_state(tmp_path / "state.npz")
    assert caught.value.code == "E0725"


def test_the_layout_follows_the_density() -> None:
    model = model_of("numpy", "auto")
    assert set(model.program.layouts) == {"In", "EE", "EI", "IE", "All"}
    assert model.program.layouts["EE"] == Edges(
        model.program.layouts["EE"].mask,
        4 / 45,  # type: ignore[union-attr]
    )
    text = model.show("schedule")
    assert "In: density 0.09 of 64 x 60 synapses expected; only existing synapses" in text
    assert "Out: density 0.5 of 60 x 10 synapses expected; a matrix with a mask" in text
    count = int(existing(model)["In"].sum())
    memory = model.show("memory")
    assert f"ends of its {count} existing synapses" in memory
    assert any(
        line.split()[:3] == [f"{8 * count / 1024:.1f}", "KiB", "In.w"]
        for line in memory.splitlines()
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_perturbation_twin(backend: str) -> None:
    from netdsl.tools.perturb import perturb_model

    report = perturb_model(model_of(backend, "edges"))
    assert report.ok and any(trial.moved for trial in report.trials)


FEED_FORWARD = """edition 1
neuron source { state r = 0 }
neuron hidden { input j; state y = 0; y := tanh(j) }
population x : source[row: 8, col: 8]
population h : hidden[30]
population y : hidden[10]
loss E = mean(sum((y.y@see - onehot(sample.label))^2))
projection W : x -> h sparse(p = P) delay 0 {
  weight w ~ uniform(-1, 1); deliver j += w * pre.r; learn bptt(loss = E); optimise sgd(rate = 0.1)
}
projection V : h -> y sparse(p = P) delay 0 {
  weight w ~ uniform(-1, 1); deliver j += 0.5 * w * pre.y; learn bptt(loss = E)
  optimise adam(rate = 0.01)
}
allow non_local on bptt because "it is the gradient"
data digits { source = "digits"; batch = 9 }
protocol train(epochs = 1) {
  each epoch {
    each batch of digits.train { reset; clamp x.r = sample.image; phase see 1 step; update W, V }
  }
}
"""


@pytest.mark.parametrize("p", ["0.15", "0"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_errors_sent_back_through_synapses(backend: str, p: str) -> None:
    text = FEED_FORWARD.replace("P)", f"{p})")
    masked = model_of("numpy", "masked", text, observe=["W.dw", "V.dw"])
    edges = model_of(backend, "edges", text, observe=["W.dw", "V.dw"])
    for model in (masked, edges):
        model.run(epochs=1, limit=27, test=False)
    where = existing(edges)
    agree(edges.session.parameters(), masked.session.parameters(), where)
    assert edges.state["W.dw"].any() == (p != "0")
    np.testing.assert_allclose(
        edges.state["W.dw"][where["W"]], masked.state["W.dw"][where["W"]], rtol=0, atol=1e-12
    )


def test_copied_and_transposed_weights_stay_matrices() -> None:
    text = (
        FEED_FORWARD.split("loss")[0]
        + """
projection W : x -> h sparse(p = 0.01) delay 0 { weight w = 1; deliver j += w * pre.r }
projection C : x -> h sparse(p = 0.01) delay 0 { weight w = 1; deliver j += w * pre.r }
data digits { source = "digits"; batch = 9 }
protocol train(epochs = 1) {
  each epoch { each batch of digits.train { set C.w := W.w; phase see 1 step } }
}
"""
    )
    checked = check(text, lower=False)
    if checked.network is None:
        pytest.skip("refused by the checks")
    program = lower(checked.network, synapses="edges")
    assert not program.layouts


def test_the_interpreter_is_the_judge_of_initial_values() -> None:
    model = model_of("numpy", "edges", rows=2)
    initial = initial_values(model.program, 3)
    whole = initial_values(lower(model.network, synapses="masked"), 3)
    for name, found in initial.items():
        edges = model.session.executor.connections.get(model.program.buffers[name].owner)
        if edges is not None and found.shape == (edges.count,):
            np.testing.assert_array_equal(edges.matrix(found), whole[name])
    assert isinstance(model.session.executor, NumpyExecutor)
