"""Slots of memories, a row axis of their own: every backend means what the interpreter says."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from netdsl.backends.base import Executor
from netdsl.backends.native import NativeExecutor
from netdsl.backends.numpy.executor import NumpyExecutor
from netdsl.ir.expr import Const, Load
from netdsl.ir.fit import misfits
from netdsl.ir.program import Each, Op, Program, Reduction, Routine, Shift, Store
from netdsl.ir.space import OTHER, ROW, axis_of, neuron, other_slot, slot
from netdsl.ir.text import parse_program, program_text
from netdsl.ir.verify import BrokenProgram, verify
from netdsl.passes.pipeline import PROGRAM_PASSES
from tests.backends.test_spaces import BACKENDS, TOLERANCE, agree, no_compiler
from tests.programs.remembered import MEMORY_CALLS, remembered
from tests.random_spaces import memory_programs


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_space(backend: type[Executor], dtype: str) -> None:
    program = remembered()
    verify(program)
    agree(backend, program, MEMORY_CALLS, dtype, rows=2)


@pytest.mark.parametrize(("slots", "rows"), [(1, 1), (1, 3), (3, 3), (2, 6)])
@pytest.mark.parametrize("backend", BACKENDS)
def test_any_number_of_rows(backend: type[Executor], slots: int, rows: int) -> None:
    agree(backend, remembered(slots, 4, 1), MEMORY_CALLS, rows=rows)


@pytest.mark.parametrize("backend", BACKENDS)
def test_slots_stay_where_the_batch_changes(backend: type[Executor]) -> None:
    program = remembered()
    executor = backend(program, {}, rows=6, dtype="float64")
    kept = np.arange(35.0).reshape(5, 7)
    executor.write("past.a.x", kept)
    executor.write("past.r", np.arange(5.0))
    for rows in (1, 6, 3):
        executor.set_rows(rows, np.arange(rows, dtype=np.uint64))
        assert np.array_equal(executor.read("past.a.x"), kept)
        assert np.array_equal(executor.read("past.r"), np.arange(5.0))
        assert executor.read("near").shape == (rows, 5)
    executor.set_rows(1, np.zeros(1, np.uint64))
    executor.write("a.x", np.full((1, 7), -1.0))
    executor.call("push")
    assert np.array_equal(executor.read("past.a.x"), [*kept[1:], np.full(7, -1.0)])
    executor.close()


@pytest.mark.parametrize("backend", BACKENDS)
def test_after_all_passes(backend: type[Executor]) -> None:
    program = remembered()
    for step in PROGRAM_PASSES:
        if step.name != "prune":
            program = step.run(program)
            verify(program)
    agree(backend, program, MEMORY_CALLS, rows=2)


def test_text() -> None:
    program = remembered()
    assert parse_program(program_text(program)) == program
    for axis in (ROW, OTHER, slot("past"), other_slot("past"), neuron("a")):
        assert axis_of(str(axis)) == axis


def test_what_does_not_embed_is_refused() -> None:
    program = remembered()

    def misfit(op: Op) -> set[str]:
        routines = {"run": Routine("run", "update", once=(op,))}
        return {found.buffer for found in misfits(replace(program, routines=routines))}

    zero, past, other = Const(0.0), slot("past"), other_slot("past")
    assert misfit(Each((ROW,), (Store("w", zero),))) == {"w"}
    assert misfit(Each((past,), (Store("r", zero),))) == {"r"}
    assert misfit(Each((past,), (Store("w", Load("r")),))) == {"r"}
    assert misfit(Each((ROW, other), (Store("near", Load("w")),))) == {"w"}
    assert misfit(Each((ROW, OTHER), (Store("near", zero),))) == {"near"}
    assert misfit(Each((past, other), (Store("K", Load("r", side="other")),))) == {"r"}
    assert misfit(Each((past, neuron("a")), (Store("seen.a", zero),))) == {"seen.a"}
    assert misfit(Reduction("r", "sum", Load("w"), (past,))) == {"r"}
    assert misfit(Reduction("r", "sum", Load("w"), (other,))) == {"w"}
    assert misfit(Shift("seen.a", "b.y")) == {"b.y"}
    assert misfit(Shift("a.x", "a.x")) == {"a.x"}
    assert misfit(Shift("K", "near")) == {"K"}


def test_what_no_memory_has_is_refused() -> None:
    program = remembered()
    for change in ({"memory": ""}, {"memory": "none"}, {"slots": 3}):
        odd = replace(program.buffers["past.a.x"], **change)  # type: ignore[arg-type]
        with pytest.raises(BrokenProgram, match=r"past\.a\.x"):
            verify(replace(program, buffers={**program.buffers, "past.a.x": odd}, routines={}))


@given(memory_programs())
@settings(max_examples=20, deadline=None)
def test_random_programs(program: Program) -> None:
    verify(program)
    assert parse_program(program_text(program)) == program
    agree(NumpyExecutor, program, (("run", 0, 0, None),))


@no_compiler
@given(memory_programs())
@settings(max_examples=2, deadline=None)
def test_random_programs_compiled(program: Program) -> None:
    agree(NativeExecutor, program, (("run", 0, 0, None),))
