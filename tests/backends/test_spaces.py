"""Operations over every space: every backend means what the interpreter says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from netdsl.backends.base import Executor
from netdsl.backends.cupy import shim
from netdsl.backends.cupy.shim import ShimExecutor
from netdsl.backends.native import NativeExecutor, available
from netdsl.backends.numpy.executor import NumpyExecutor
from netdsl.ir.expr import Const, Load
from netdsl.ir.fit import misfits
from netdsl.ir.program import Each, Guarded, Op, Program, Reduction, Routine, Store
from netdsl.ir.space import ROW
from netdsl.ir.text import parse_program, program_text
from netdsl.ir.verify import verify
from netdsl.passes.pipeline import PROGRAM_PASSES
from netdsl.passes.program.row_sums import row_sums
from tests.amounts import sweep
from tests.interpreter import Interpreter
from tests.programs import KEYS, initial_values
from tests.programs.spaces import SPACE_CALLS, W, late, post, spaces, summed
from tests.random_spaces import programs

no_compiler = pytest.mark.skipif(not available()[0], reason="no C compiler")
no_shim = pytest.mark.skipif(shim.compiler() is None, reason="no g++ for CUDA on the CPU")
BACKENDS = [
    pytest.param(NumpyExecutor, id="numpy"),
    pytest.param(NativeExecutor, id="native", marks=no_compiler),
    pytest.param(ShimExecutor, id="cuda", marks=no_shim),
]
TOLERANCE = {"float64": 1e-12, "float32": 2e-5}


def agree(
    backend: type[Executor],
    program: Program,
    calls: tuple[tuple[str, int, int, int | None], ...] = SPACE_CALLS,
    dtype: str = "float64",
    rows: int = 4,
    capacity: int = 6,
    passed: Callable[[Program], Program] = lambda program: program,
) -> None:
    """Every buffer agrees after every call, relative to one plus its largest magnitude.

    `passed`: what the backend is given.
    """
    values = initial_values(program, rows)
    executor = backend(passed(program), {}, rows=capacity, dtype=dtype, seed=5)
    executor.set_rows(rows, KEYS[:rows])
    for name, value in values.items():
        executor.write(name, value)
    wanted = Interpreter(program, values, rows, KEYS[:rows], 5)
    for call in calls:
        executor.call(*call)
        wanted.call(*call)
        for name, expected in wanted.state.items():
            found = executor.read(name)
            assert found.shape == expected.shape, name
            room = 1 + np.max(np.abs(expected[np.isfinite(expected)]), initial=0.0)
            np.testing.assert_allclose(
                found, expected, rtol=0, atol=TOLERANCE[dtype] * room, err_msg=f"{name} {call}"
            )
    executor.close()


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("density", [None, 0.4], ids=["matrix", "list"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_space(backend: type[Executor], density: float | None, dtype: str) -> None:
    program = spaces(density=density)
    verify(program)
    agree(backend, program, dtype=dtype)


@pytest.mark.parametrize("density", sweep([None, 0.4], lambda d: d is None))
@pytest.mark.parametrize("backend", BACKENDS)
def test_one_row_and_full_capacity(backend: type[Executor], density: float | None) -> None:
    agree(backend, spaces(1, 9, density), rows=1)
    agree(backend, spaces(6, 1, density), rows=6)


@pytest.mark.parametrize("density", sweep([None, 0.4], lambda d: d is None))
@pytest.mark.parametrize("backend", BACKENDS)
def test_sums_over_rows(backend: type[Executor], density: float | None) -> None:
    program = summed(density)
    verify(program)
    assert parse_program(program_text(program)) == program
    agree(backend, program, passed=row_sums)


@pytest.mark.parametrize("density", [None, 0.4], ids=["matrix", "list"])
def test_after_all_passes(density: float | None) -> None:
    def passed(program: Program) -> Program:
        for step in PROGRAM_PASSES:
            if step.name != "prune":
                program = step.run(program)
                verify(program)
        return program

    agree(NumpyExecutor, summed(density), passed=passed)


@pytest.mark.parametrize("density", [None, 0.4], ids=["matrix", "list"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_slots_of_rings(backend: type[Executor], density: float | None) -> None:
    program = late(density)
    verify(program)
    assert parse_program(program_text(program)) == program
    agree(backend, program, (("run", 9, 0, 4), ("run", 9, 4, None)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_rings_of_bits(backend: type[Executor]) -> None:
    program = late()
    bits = {"b.s@past": replace(program.buffers["b.s@past"], packed=True)}
    program = replace(program, buffers={**program.buffers, **bits})
    verify(program)
    assert parse_program(program_text(program)) == program
    agree(backend, program, (("run", 9, 0, 4), ("run", 9, 4, None)))


BITS = """program bits
population a {n}
buffer phase.step global counter owner="" of=phase.step
buffer t global counter owner="" of=t
buffer a.x unit state owner=a
buffer a.s unit state owner=a type=bool
buffer a.past unit scratch owner=a type=bool slots=3 packed=true

routine run phase phase=run
  step: cells a
    a.s := sin(7 * a.x + t) > 0
  step: push a.past := a.s
  step: cells a
    a.x := a.x + 0.25 * a.past[1] - 0.5 * a.past[mod(phase.step, 3)]
"""


@pytest.mark.parametrize("width", [1, 8, 15, 16, 17, 37, 64])
@pytest.mark.parametrize("backend", BACKENDS)
def test_bits_of_rows(backend: type[Executor], width: int) -> None:
    program = parse_program(BITS.format(n=width))
    verify(program)
    agree(backend, program, (("run", 7, 0, 4), ("run", 7, 4, None)), "float32")


def test_nan_passes() -> None:
    program = spaces()
    for backend in (NumpyExecutor, NativeExecutor, ShimExecutor):
        if backend is not NumpyExecutor and not (available()[0] and shim.compiler()):
            continue
        executor = backend(program, initial_values(program, 3), rows=3, dtype="float64")
        executor.set_rows(3, KEYS[:3])
        executor.write("a.x", np.full((3, 7), np.nan))
        executor.call("run", 1)
        assert np.isnan(executor.read("b.most")).all(), backend.name


def test_what_does_not_embed_is_refused() -> None:
    program = spaces()

    def misfit(*ops: Op) -> set[str]:
        routines = {"run": Routine("run", "update", once=ops)}
        return {found.buffer for found in misfits(replace(program, routines=routines))}

    zero = Const(0.0)
    assert misfit(Each((W,), (Store("W.w", Load("a.late")),))) == {"a.late"}  # at which end?
    assert misfit(Each((W,), (Store("W.w", post("a.late")),))) == {"a.late"}
    assert misfit(Each((W,), (Store("W.w", Load("W.e")),))) == {"W.e"}
    assert misfit(Each((W,), (Store("b.theta", zero),))) == {"b.theta"}
    assert misfit(Each((ROW,), (Store("K", zero),))) == {"K"}
    assert misfit(Each((ROW,), (Store("gain", zero),))) == {"gain"}
    assert misfit(Guarded((W,), "pre", "a.s", (Store("W.w", zero),))) == {"a.s"}
    assert misfit(Reduction("b.in", "sum", Load("W.w"), (W,), "pre")) == {"b.in"}
    assert misfit(Reduction("b.in", "sum", Load("W.w"), (W,))) == {"b.in"}
    assert misfit(Reduction("loss", "sum", Load("K"), (ROW,))) == {"K", "loss"}


@pytest.mark.parametrize("density", [None, 0.4])
def test_text(density: float | None) -> None:
    program = spaces(density=density)
    assert parse_program(program_text(program)) == program


@pytest.mark.slow
@given(programs())
@settings(max_examples=60, deadline=None)
def test_random_programs(program: Program) -> None:
    verify(program)
    assert parse_program(program_text(program)) == program
    agree(NumpyExecutor, program, (("run", 0, 0, None),))


@no_compiler
@given(programs())
@settings(max_examples=6, deadline=None)
def test_random_programs_compiled(program: Program) -> None:
    agree(NativeExecutor, program, (("run", 0, 0, None),))
