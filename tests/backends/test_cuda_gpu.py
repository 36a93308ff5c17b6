"""The CuPy backend on a GPU, where there is one: agreement, draws, golden traces."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netdsl.backends.cupy import CupyExecutor, available
from netdsl.backends.numpy.executor import NumpyExecutor
from netdsl.ir.program import Program
from tests.golden.__main__ import table
from tests.golden.replaying import run_cases
from tests.golden.systems import open_cases
from tests.golden.test_golden import FILES, system_of
from tests.interpreter import Interpreter
from tests.programs import CALLS, KEYS, PROGRAMS, ROWS, initial_values

_USABLE, _REASON = available()
pytestmark = pytest.mark.skipif(not _USABLE, reason=_REASON or "a GPU is here")

TOLERANCE = {"float64": 1e-12, "float32": 1e-5}
LARGE = {"three_factor": (300, 200), "relaxation": (40, 130, 20), "functions": (77, 65),
         "draws": (333,)}  # fmt: skip


def executor_of(program: Program, dtype: str, strategy: str) -> CupyExecutor:
    made = CupyExecutor(
        program, initial_values(program), rows=ROWS, dtype=dtype, seed=5, strategy=strategy
    )
    made.set_rows(ROWS, KEYS)
    return made


@pytest.mark.parametrize("strategy", ["auto", "dense", "gather"])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", PROGRAMS)
def test_agrees_with_interpreter(name: str, dtype: str, strategy: str) -> None:
    program = PROGRAMS[name]()
    executor = executor_of(program, dtype, strategy)
    interpreter = Interpreter(program, initial_values(program), ROWS, KEYS, 5)
    for call in (*CALLS[name], *CALLS[name]):
        executor.call(*call)
        interpreter.call(*call)
    for buffer, expected in interpreter.state.items():
        scale = 1 + np.max(np.abs(expected), initial=0.0)
        atol = TOLERANCE[dtype] * scale
        np.testing.assert_allclose(executor.read(buffer), expected, 0, atol, err_msg=buffer)
    executor.close()


@pytest.mark.parametrize("strategy", ["dense", "gather"])
@pytest.mark.parametrize("name", LARGE)
def test_runs_are_bit_identical(name: str, strategy: str) -> None:
    program = PROGRAMS[name](*LARGE[name])
    states = []
    for _ in range(2):
        executor = executor_of(program, "float32", strategy)
        for call in CALLS[name]:
            executor.call(*call)
        states.append({buffer: executor.read(buffer) for buffer in program.buffers})
        executor.close()
    for buffer, values in states[0].items():
        np.testing.assert_array_equal(values, states[1][buffer], err_msg=buffer)


def test_draws_equal_numpys() -> None:
    program = PROGRAMS["draws"](333)
    values = initial_values(program)
    kinds = (NumpyExecutor, CupyExecutor)
    executors = [kind(program, values, rows=ROWS, dtype="float32", seed=11) for kind in kinds]
    for executor in executors:
        executor.set_rows(ROWS, KEYS)
        executor.call("run.1", 4)
    for buffer in ("p.s", "p.s2", "p.s3", "p.u", "p.k", "p.once", "p.u2"):
        np.testing.assert_array_equal(executors[0].read(buffer), executors[1].read(buffer), buffer)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_recording(path: Path, dtype: str) -> None:
    rows = run_cases(open_cases(system_of(path), path, dtype), "cupy", dtype)
    beyond = [row for row in rows if not row.ok]
    assert rows and not beyond, "\n" + table(beyond)
