"""Random programs mean the same behind each pass, and keep what every program promises."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings

from netdsl.ir.program import Program
from netdsl.ir.verify import verify
from netdsl.passes.pipeline import PROGRAM_PASSES
from tests.interpreter import Interpreter
from tests.programs import KEYS, ROWS, initial_values
from tests.random_programs import phases


def values(program: Program, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What lasts, after the routines have run: two phases with another routine between them."""
    machine = Interpreter(program, given, ROWS, KEYS)
    for name, steps in (("start", 0), ("run", 3), ("change", 0), ("run", 2)):
        machine.call(name, steps)
    return machine.state


@given(phases())
@settings(max_examples=8, deadline=None)
def test_means_the_same(program: Program) -> None:
    verify(program)
    start = initial_values(program)
    before = values(program, start)
    for step in PROGRAM_PASSES:
        found = step.run(program)
        verify(found)
        after = values(found, start)
        for name, buffer in program.buffers.items():
            pruned = buffer.role == "snapshot" and name not in after  # nothing used it
            if buffer.kept or not (pruned or buffer.role in ("scratch", "modulator")):
                np.testing.assert_allclose(
                    after[name], before[name], rtol=1e-9, atol=1e-9, err_msg=f"{step.name}: {name}"
                )
