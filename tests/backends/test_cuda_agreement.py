"""Generated CUDA on the CPU against the direct interpreter and the NumPy backend."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings

from netdsl.backends.cupy import shim
from netdsl.backends.cupy.shim import ShimExecutor
from netdsl.backends.numpy.executor import NumpyExecutor
from netdsl.codegen.cuda.plan import Sparse
from netdsl.codegen.cuda.synapses import GATHER_BELOW
from netdsl.codegen.plan.layout import Window
from netdsl.ir.program import Program
from tests.amounts import up_to
from tests.interpreter import Interpreter
from tests.programs import CALLS, KEYS, PROGRAMS, ROWS, initial_values
from tests.random_programs import programs

pytestmark = pytest.mark.skipif(shim.compiler() is None, reason="no g++ for CUDA on the CPU")

TOLERANCE = {"float64": 1e-12, "float32": 1e-5}
DRAWN = ("p.s", "p.s2", "p.s3", "p.u", "p.k", "p.once", "p.u2")


def pair(
    program: Program, dtype: str, rows: int = ROWS, capacity: int = ROWS, **options: object
) -> tuple[ShimExecutor, Interpreter]:
    """An executor and an interpreter in the same state."""
    values = initial_values(program, rows)
    executor = ShimExecutor(program, {}, rows=capacity, dtype=dtype, seed=5, **options)  # type: ignore[arg-type]
    executor.set_rows(rows, KEYS[:rows])
    for name, value in values.items():
        executor.write(name, value)
    return executor, Interpreter(program, values, rows, KEYS[:rows], 5)


def assert_equal_state(executor: ShimExecutor, interpreter: Interpreter, tolerance: float) -> None:
    """Every buffer agrees, relative to one plus its largest magnitude."""
    for name, expected in interpreter.state.items():
        scale = 1 + np.max(np.abs(expected[np.isfinite(expected)]), initial=0.0)
        np.testing.assert_allclose(
            executor.read(name), expected, rtol=0, atol=tolerance * scale, err_msg=name
        )


@pytest.mark.parametrize("strategy", ["auto", "dense", "gather"])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", PROGRAMS)
def test_agrees_with_interpreter(name: str, dtype: str, strategy: str) -> None:
    executor, interpreter = pair(PROGRAMS[name](), dtype, strategy=strategy)
    for call in CALLS[name]:
        executor.call(*call)
        interpreter.call(*call)
        assert_equal_state(executor, interpreter, TOLERANCE[dtype])


@pytest.mark.slow
@pytest.mark.parametrize("threads", [1, 3, 32, 200])
@pytest.mark.parametrize("name", PROGRAMS)
def test_any_number_of_threads_and_any_order(name: str, threads: int) -> None:
    program = PROGRAMS[name]()
    states = []
    for order in (0, 1, 2, 3):
        executor, interpreter = pair(program, "float64", threads=threads, order=order)
        for call in CALLS[name]:
            executor.call(*call)
            interpreter.call(*call)
        assert_equal_state(executor, interpreter, 1e-12)
        states.append({buffer: executor.read(buffer) for buffer in program.buffers})
    for buffer, values in states[0].items():
        for others in states[1:]:
            np.testing.assert_array_equal(values, others[buffer], err_msg=buffer)


def test_a_missing_barrier_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = shim.build
    monkeypatch.setattr(
        shim, "build", lambda source: whole(re.sub(r"__syncthreads\(\);", "", source))
    )
    totals = []
    for order in (0, 1):
        executor, _ = pair(PROGRAMS["draws"](), "float64", order=order)
        executor.call("run.1", 1)
        totals.append(executor.read("p.sum"))
    assert not np.array_equal(*totals)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_draws_equal_numpys(dtype: str) -> None:
    program = PROGRAMS["draws"](37)
    values = initial_values(program)
    executors = [
        kind(program, values, rows=ROWS, dtype=dtype, seed=11)
        for kind in (NumpyExecutor, ShimExecutor)
    ]
    for executor in executors:
        executor.set_rows(ROWS, KEYS)
        executor.call("run.1", 4)
    for buffer in DRAWN:
        np.testing.assert_array_equal(executors[0].read(buffer), executors[1].read(buffer), buffer)


def test_spikes_equal_numpys_in_float32() -> None:
    program = PROGRAMS["three_factor"](40, 30)
    values = initial_values(program)
    executors = [
        kind(program, values, rows=ROWS, dtype="float32", seed=2)
        for kind in (NumpyExecutor, ShimExecutor)
    ]
    for executor in executors:
        executor.set_rows(ROWS, KEYS)
        for call in CALLS["three_factor"]:
            executor.call(*call)
    for buffer in ("img.s", "h1.s", "h1.s@count:run"):
        np.testing.assert_array_equal(executors[0].read(buffer), executors[1].read(buffer), buffer)


@pytest.mark.parametrize("strategy", ["dense", "gather"])
@pytest.mark.parametrize("sizes", [(70, 65), (300, 40), (33, 129)])
def test_sizes_beyond_one_tile(sizes: tuple[int, int], strategy: str) -> None:
    executor, interpreter = pair(PROGRAMS["three_factor"](*sizes), "float64", strategy=strategy)
    for call in (("reset:h1", 0, 0, None), ("train.1", 3, 0, None)):
        executor.call(*call)
        interpreter.call(*call)
    assert_equal_state(executor, interpreter, 1e-12)


def test_listed_rows_of_the_postsynaptic_factor() -> None:
    executor, interpreter = pair(PROGRAMS["three_factor"](70, 65), "float64", strategy="gather")
    for test in executor.sparse:
        executor.sparse[test] = all(limit == GATHER_BELOW for _, limit in test.limits)
    for call in (("reset:h1", 0, 0, None), ("train.1", 3, 0, None)):
        executor.call(*call)
        interpreter.call(*call)
    assert any(name.startswith("synapse_rows") for name in executor.device.launched)
    assert_equal_state(executor, interpreter, 1e-12)


@pytest.mark.parametrize("name", PROGRAMS)
def test_fewer_rows_than_capacity(name: str) -> None:
    executor, interpreter = pair(PROGRAMS[name](), "float64", rows=4, capacity=9)
    for call in CALLS[name]:
        executor.call(*call)
        interpreter.call(*call)
    assert_equal_state(executor, interpreter, 1e-12)


def test_the_choice_follows_the_measured_density() -> None:
    program = PROGRAMS["three_factor"](64, 30)
    executor, interpreter = pair(program, "float64")
    window = Window("img.s@prev", 0, 64)
    test = Sparse(((window, GATHER_BELOW),))
    assert executor.sparse[test]
    for probability, sparse in ((0.5, False), (0.001, True)):
        executor.write("img.p", probability)
        interpreter.state["img.p"].fill(probability)
        for _ in range(2):
            executor.call("train.1", 4)
            interpreter.call("train.1", 4)
        assert executor.sparse[test] is sparse
    assert_equal_state(executor, interpreter, 1e-12)


def test_runs_are_bit_identical() -> None:
    program = PROGRAMS["three_factor"](50, 40)
    states = []
    for _ in range(2):
        executor, _ = pair(program, "float32")
        executor.call("train.1", 6)
        states.append({buffer: executor.read(buffer) for buffer in program.buffers})
    for buffer, values in states[0].items():
        np.testing.assert_array_equal(values, states[1][buffer], err_msg=buffer)


@pytest.mark.slow
@given(programs())
@settings(max_examples=up_to(15), deadline=None)
def test_random_programs(program: Program) -> None:
    executor, interpreter = pair(program, "float64", threads=3, order=5)
    executor.call("go")
    interpreter.call("go")
    assert_equal_state(executor, interpreter, 1e-12)
