"""Operations for the newest row alone: what is read of it is the same on every backend."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netdsl.backends.base import Executor
from netdsl.ir.program import Program
from netdsl.ir.text import parse_program, program_text
from netdsl.ir.verify import verify
from netdsl.passes.pipeline import PROGRAM_PASSES
from netdsl.passes.program.newest import newest
from tests.backends.test_spaces import BACKENDS
from tests.interpreter import Interpreter
from tests.programs import KEYS, initial_values

CASE = Path(__file__).parents[1] / "passes" / "cases" / "newest_kernel.ir"
COUNTERS = 'buffer {0} global counter owner="" of={0}'


def case() -> Program:
    """The case of the pass, with the counters that backends keep."""
    text = CASE.read_text().partition("\nbecomes\n")[0]
    counters = "\n".join(COUNTERS.format(name) for name in ("t", "phase.step"))
    return parse_program(text.replace("\nroutine go", f"\n{counters}\n\nroutine go"))


def through(program: Program) -> Program:
    for step in PROGRAM_PASSES:
        program = step.run(program)
    return program


@pytest.mark.parametrize("passed", [newest, through], ids=["alone", "all"])
@pytest.mark.parametrize("rows", [1, 4])
@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_read_is_the_same(backend: type[Executor], rows: int, passed: object) -> None:
    program = case()
    changed = passed(program)  # type: ignore[operator]
    verify(changed)
    assert parse_program(program_text(changed)) == changed
    assert any(getattr(op, "newest", False) for r in changed.routines.values() for op in r.ops)
    values = initial_values(program, rows)
    wanted = Interpreter(program, values, rows, KEYS[:rows])
    executor = backend(changed, {}, rows=6, dtype="float64")
    executor.set_rows(rows, KEYS[:rows])
    for name in ("a.x", "a.j", "W.w"):
        executor.write(name, values[name])
    for _ in range(2):
        executor.call("go", 3)
        wanted.call("go", 3)
        for name in ("a.x", "a.j", "W.w"):
            np.testing.assert_allclose(executor.read(name), wanted.state[name], rtol=1e-12)
    executor.close()


@pytest.mark.parametrize("backend", BACKENDS[1:])
def test_no_rows(backend: type[Executor]) -> None:
    executor = backend(newest(case()), {}, rows=2, dtype="float64")
    executor.set_rows(0, KEYS[:0])
    executor.call("go", 1)
    executor.close()
