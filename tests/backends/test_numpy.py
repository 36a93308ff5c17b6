"""The NumPy executor against the direct interpreter."""

from __future__ import annotations

import ast

import numpy as np
import pytest
from hypothesis import given, settings

from netdsl.backends.numpy import active as numpy_active
from netdsl.backends.numpy import support as numpy_support
from netdsl.backends.numpy.executor import NumpyExecutor
from netdsl.ir.program import Program
from tests.amounts import up_to
from tests.interpreter import Interpreter
from tests.programs import CALLS, KEYS, PROGRAMS, ROWS, initial_values
from tests.random_programs import programs

TOLERANCE = {"float64": 1e-12, "float32": 3e-6}


def pair(
    program: Program, dtype: str = "float64", rows: int = ROWS, capacity: int = ROWS, seed: int = 5
) -> tuple[NumpyExecutor, Interpreter]:
    """An executor and an interpreter in the same state."""
    values = initial_values(program, rows)
    executor = NumpyExecutor(program, {}, rows=capacity, dtype=dtype, seed=seed)
    executor.set_rows(rows, KEYS[:rows])
    for name, value in values.items():
        executor.write(name, value)
    return executor, Interpreter(program, values, rows, KEYS[:rows], seed)


def assert_equal_state(executor: NumpyExecutor, interpreter: Interpreter, tolerance: float) -> None:
    """Every buffer agrees, relative to one plus its largest magnitude."""
    for name, expected in interpreter.state.items():
        scale = 1 + np.max(np.abs(expected[np.isfinite(expected)]), initial=0.0)
        np.testing.assert_allclose(
            executor.read(name), expected, rtol=0, atol=tolerance * scale, err_msg=name
        )


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_agrees_with_interpreter(name: str, dtype: str) -> None:
    executor, interpreter = pair(PROGRAMS[name](), dtype)
    for call in CALLS[name]:
        executor.call(*call)
        interpreter.call(*call)
        assert_equal_state(executor, interpreter, TOLERANCE[dtype])


@pytest.mark.parametrize("tile,block", [(4, 2), (12, 3), (1, 1)])
@pytest.mark.parametrize("name", PROGRAMS)
def test_tiles_change_nothing(
    name: str, tile: int, block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numpy_support, "TILE", tile)
    monkeypatch.setattr(numpy_support, "BLOCK_ROWS", block)
    executor, interpreter = pair(PROGRAMS[name]())
    for call in CALLS[name]:
        executor.call(*call)
        interpreter.call(*call)
    assert_equal_state(executor, interpreter, 1e-12)


@pytest.mark.parametrize("name", PROGRAMS)
def test_fewer_rows_than_capacity(name: str) -> None:
    executor, interpreter = pair(PROGRAMS[name](), rows=4, capacity=9)
    for call in CALLS[name]:
        executor.call(*call)
        interpreter.call(*call)
    assert_equal_state(executor, interpreter, 1e-12)


def test_rows_may_change_and_return() -> None:
    program = PROGRAMS["three_factor"]()
    executor, interpreter = pair(program)
    executor.set_rows(2)
    executor.set_rows(ROWS, KEYS)
    for call in CALLS["three_factor"]:
        executor.call(*call)
        interpreter.call(*call)
    assert_equal_state(executor, interpreter, 1e-12)
    with pytest.raises(ValueError, match="capacity"):
        executor.set_rows(ROWS + 1)


@settings(max_examples=up_to(150), deadline=None)
@given(programs())
def test_random_programs_agree(program: Program) -> None:
    executor, interpreter = pair(program)
    executor.call("go")
    interpreter.call("go")
    assert_equal_state(executor, interpreter, 1e-12)


def test_draws_do_not_depend_on_batch() -> None:
    whole, _ = pair(PROGRAMS["draws"](), "float32")
    part, _ = pair(PROGRAMS["draws"](), "float32")
    part.set_rows(2, KEYS[3:5])
    part.write("p.prob", whole.read("p.prob")[3:5])
    for executor in (whole, part):
        executor.call("run.1", 3)
    np.testing.assert_array_equal(whole.read("p.s")[3:5], part.read("p.s"))
    np.testing.assert_array_equal(whole.read("p.u")[3:5], part.read("p.u"))


def test_buffers_stay_in_place_and_are_counted() -> None:
    program = PROGRAMS["three_factor"]()
    executor, _ = pair(program, "float32")
    before = {name: array.ctypes.data for name, array in executor._buffers.items()}
    allocated = executor.nbytes()
    executor.call("train.1", 3)
    assert before == {name: array.ctypes.data for name, array in executor._buffers.items()}
    assert executor.nbytes() == allocated
    assert allocated >= 4 * sum(a.size for a in executor._buffers.values())


def test_kinds_of_read_and_write() -> None:
    executor, _ = pair(PROGRAMS["relaxation"](), "float32")
    assert executor.read("sample.label").shape == (ROWS,)
    assert executor.read("nudge").shape == () and executor.read("nudge").dtype == np.float64
    assert executor.read("h.b").dtype == np.float32
    executor.write("h.r", 0.25)
    assert (executor.read("h.r") == np.float32(0.25)).all()
    with pytest.raises(ValueError, match=r"`h\.r` has shape"):
        executor.write("h.r", np.zeros((ROWS, 2)))
    copy = executor.read("h.r")
    copy[:] = 9
    assert executor.read("h.r").max() < 1


def test_source_is_a_module() -> None:
    for build in PROGRAMS.values():
        executor, _ = pair(build())
        tree = ast.parse(executor.source())
        assert ast.get_docstring(tree)
        executor.close()


@pytest.mark.parametrize("rows", [ROWS, 1])
def test_gathered_spikes_change_nothing(rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numpy_active, "LEAST_WORK", 0)
    monkeypatch.setattr(numpy_active, "DENSITY", 1.0)
    monkeypatch.setattr(numpy_support, "TILE", 10)
    monkeypatch.setattr(numpy_support, "BLOCK_ROWS", 3)
    executor, interpreter = pair(PROGRAMS["three_factor"](), rows=rows)
    executor.write("img.s", 0.0)
    executor.write("img.s", interpreter.state["img.s"])
    for call in CALLS["three_factor"]:
        executor.call(*call)
        interpreter.call(*call)
    assert_equal_state(executor, interpreter, 1e-12)


def test_gathering_finds_the_nonzeros() -> None:
    spikes = (np.random.default_rng(3).random((40, 300)) < 0.03).astype(np.float32)
    active = numpy_active.Active()
    active.bind(spikes)
    assert active.sparse(200)
    starts, neurons = active.by_row()
    again = np.zeros_like(spikes)
    again[np.repeat(np.arange(40), np.diff(starts)), neurons] = 1
    np.testing.assert_array_equal(again, spikes)
    starts, row_of = active.by_neuron()
    again = np.zeros_like(spikes)
    again[row_of, np.repeat(np.arange(300), np.diff(starts))] = 1
    np.testing.assert_array_equal(again, spikes)
    spikes[:] = 1
    active.changed()
    assert not active.sparse(200)
