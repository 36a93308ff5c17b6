"""Step programs made by hand: together they use every operation, statement and primitive.

Backends are tested against `tests.interpreter` on these. `PROGRAMS` maps a name to a builder;
`initial_values` gives build-time arrays, `CALLS` the routine calls that exercise a program.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from netdsl.ir.network import Type
from netdsl.ir.places import shape_of
from netdsl.ir.program import Program
from tests.programs.delayed import delay_lines
from tests.programs.learning import three_factor
from tests.programs.parts import KEYS, ROWS, adam, buffer, fn, program
from tests.programs.relaxing import relaxation
from tests.programs.shared import shared_kernels
from tests.programs.single import draws, functions

__all__ = [
    "CALLS",
    "KEYS",
    "PROGRAMS",
    "ROWS",
    "adam",
    "buffer",
    "delay_lines",
    "draws",
    "fn",
    "functions",
    "initial_values",
    "program",
    "relaxation",
    "shared_kernels",
    "three_factor",
]

PROGRAMS: dict[str, Callable[[], Program]] = {
    "three_factor": three_factor,
    "relaxation": relaxation,
    "functions": functions,
    "draws": draws,
    "shared_kernels": shared_kernels,
    "delay_lines": delay_lines,
}

# (routine, steps, first, last) in order; routines without steps have 0.
CALLS: dict[str, tuple[tuple[str, int, int, int | None], ...]] = {
    "three_factor": (
        ("reset:h1", 0, 0, None),
        ("train.1", 12, 0, 5),
        ("train.1", 12, 5, None),
        ("reset:h1", 0, 0, None),
        ("test.1", 6, 0, None),
    ),
    "relaxation": (
        ("train.free", 7, 0, None),
        ("train.nudged", 4, 0, None),
        ("train.update", 0, 0, None),
        ("train.set", 0, 0, None),
        ("train.free", 3, 0, None),
    ),
    "functions": (("all", 0, 0, None),),
    "draws": (("run.1", 3, 0, None),),
    "shared_kernels": (("all", 0, 0, None), ("again", 0, 0, None)),
    "delay_lines": (
        ("go", 9, 0, 4),
        ("go", 9, 4, None),
        ("forget", 0, 0, None),
        ("go", 17, 0, None),
    ),
}


def initial_values(program: Program, rows: int = ROWS, seed: int = 1) -> dict[str, np.ndarray]:
    """Values for every buffer: uniform in (-1, 1), probabilities and labels in their ranges."""
    rng = np.random.default_rng(seed)
    values = {}
    for name, entry in program.buffers.items():
        shape = shape_of(name, program, rows)
        value = rng.uniform(-1, 1, shape)
        if name.rsplit(".", 1)[-1] in ("p", "prob", "bias", "level", "thr0", "gain"):
            value = np.abs(value) * 0.4 + 0.1
        if entry.type is not Type.REAL:
            value = (value > 0).astype(float)
        if entry.role in ("counter", "optimiser"):
            value = np.zeros(shape)
        values[name] = value
    if "batch.rows" in values:
        values["batch.rows"] = np.float64(rows)
    if "sample.positive" in values:
        values["sample.positive"] = np.arange(rows) % 2.0
    return {name: np.asarray(value, np.float64) for name, value in values.items()}
