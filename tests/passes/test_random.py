"""Random programs mean the same behind each pass, and keep what every program promises."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.ir.program import Program
from netdsl.ir.verify import verify
from netdsl.passes.pipeline import PROGRAM_PASSES, Pass
from tests.interpreter import Interpreter
from tests.programs import KEYS, ROWS, initial_values
from tests.random_programs import phases


def values(program: Program, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What lasts, after the routines have run: two phases with another routine between them."""
    machine = Interpreter(program, given, ROWS, KEYS)
    for name, steps in (("start", 0), ("run", 3), ("change", 0), ("run", 2)):
        machine.call(name, steps)
    return machine.state


@pytest.mark.parametrize("step", PROGRAM_PASSES, ids=lambda step: step.name)
@given(program=phases(), seed=st.integers(0, 3))
@settings(max_examples=15, deadline=None)
def test_means_the_same(step: Pass, program: Program, seed: int) -> None:
    verify(program)
    found = step.run(program)
    verify(found)
    start = initial_values(program, seed=seed)
    before, after = values(program, start), values(found, start)
    lasting = [n for n, b in program.buffers.items() if b.kept or b.role != "scratch"]
    assert set(lasting) <= set(after) | {n for n, b in program.buffers.items() if not b.kept}
    for name in set(lasting) & set(after):
        np.testing.assert_allclose(after[name], before[name], rtol=1e-9, atol=1e-9, err_msg=name)
