"""Readouts over phases of many steps: exact counts and precise means in both number types."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import netdsl
from netdsl.backends.cupy import shim
from netdsl.runtime import backend
from tests.backends import test_cuda_golden

SPEC = """edition 1
dt = 1 ms
neuron cell {
  state v = 0.1
  population state total = 0
  spike s when v >= 0 { }
  total := mean(v)
}
population a : cell[3]
data digits { source = "digits"; batch = 2; eval_batch = 2 }
protocol train { each batch of digits.train limit 2 { reset; phase run 1 step } }
protocol test(split) { each batch of split { reset; phase run STEPS steps } }
readout n = count(a.s over run)
readout c = count(a.v over run)
readout m = mean(a.v over run)
readout total = sum(a.total over run)
readout h = max(a.v over run)
metric spikes = mean(sum(n))
metric counts = mean(sum(c))
metric level = mean(max(m))
metric row = mean(total)
metric high = mean(max(h))
"""


@pytest.fixture(params=["numpy", "native", "cuda"])
def name(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """A backend, CUDA on the CPU."""
    if request.param != "cuda":
        return str(request.param)
    if shim.compiler() is None:
        pytest.skip("no g++ for CUDA on the CPU")
    kind = (test_cuda_golden.__name__, test_cuda_golden.OneThread.__name__)
    monkeypatch.setitem(backend.BACKENDS, "shim", kind)
    return "shim"


def model_of(tmp_path: Path, name: str, dtype: str, steps: int) -> netdsl.Model:
    file = tmp_path / "x.net"
    file.write_text(SPEC.replace("STEPS", str(steps)))
    return netdsl.compile(file, backend=name, dtype=dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_count_goes_on_beyond_what_float32_counts(tmp_path: Path, name: str, dtype: str) -> None:
    """The last steps of a phase whose first 2^24 are taken as done."""
    model = model_of(tmp_path, name, dtype, 2**24 + 3)
    model.present(**model.samples("test", 2))
    executor = model.session.executor
    model.reset()
    routine = next(k for k, r in model.program.routines.items()
                   if r.kind == "phase" and "a.s@count:run" in str(r.step))  # fmt: skip
    held = [k for k, b in model.program.buffers.items() if b.role == "accumulator"]
    for buffer in held:
        executor.write(buffer, 0.1 if "@max" in buffer else 2.0**24)
    executor.call(routine, 2**24 + 3, 2**24, 2**24 + 3)
    for buffer in held:
        found = executor.read(buffer)
        assert found.dtype == np.float64
        if "@count" in buffer:
            np.testing.assert_array_equal(found, 2**24 + 3)
        elif "@mean" in buffer:
            np.testing.assert_allclose(found, (2**24 + 0.3) / (2**24 + 3), rtol=1e-8)
        elif "@sum" in buffer:
            np.testing.assert_allclose(found, 2**24 + 0.3, rtol=1e-15 + 1e-16 * 2**24)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_means_of_constants(tmp_path: Path, name: str, dtype: str) -> None:
    steps = {"native": 1_000_000, "numpy": 5000, "shim": 300}[name]
    metrics = model_of(tmp_path, name, dtype, steps).evaluate("test", "test", limit=2).metrics
    value = float(np.asarray(0.1, dtype))
    assert metrics["spikes"] == metrics["counts"] == 3 * steps
    assert metrics["level"] == pytest.approx(value, rel=1e-10)
    assert metrics["row"] == pytest.approx(value * steps, rel=1e-6 if dtype == "float32" else 1e-10)
    assert metrics["high"] == value
