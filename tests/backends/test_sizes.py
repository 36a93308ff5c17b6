"""Products of few rows, few synapses and large matrices, which have code of their own."""

from __future__ import annotations

import numpy as np
import pytest

from netdsl.backends.native import NativeExecutor, available
from netdsl.ir.expr import Const, Load, Local
from netdsl.ir.network import Place
from netdsl.ir.program import Op, Product, Program, Propagate, Routine, Store, Sum, SynapseUpdate
from netdsl.ir.verify import verify
from tests.interpreter import Interpreter
from tests.programs import KEYS, initial_values
from tests.programs.parts import buffer, fn, program

pytestmark = pytest.mark.skipif(not available()[0], reason="no C compiler")


def products(m: int, n: int) -> Program:
    """A delivery that overwrites and a scaled one that adds, and a weight that learns."""
    buffers = [
        buffer("a.x", Place.UNIT, "a"),
        buffer("b.y", Place.UNIT, "b"),
        buffer("b.z", Place.UNIT, "b"),
        buffer("gain", Place.GLOBAL),
        buffer("W.w", Place.SYNAPSE, "W", "weight"),
    ]
    learned = (Store("W.w", fn("add", Load("W.w"), fn("mul", 0.25, Local("g")))),)
    ops: tuple[Op, ...] = (
        Propagate("W", "W.w", "a.x", "b.y", accumulate=False),
        Propagate("W", "W.w", "a.x", "b.z", Load("gain")),
        Propagate("W", "W.w", "a.x", "b.z", Const(-0.5)),
        SynapseUpdate("W", (Sum("g", (Product("a.x", "b.y"),)),), learned),
    )
    routine = Routine("go", "update", once=ops)
    return program("products", {"a": m, "b": n}, {"W": (m, n)}, buffers, [routine])


@pytest.mark.parametrize("rows", [0, 1, 3])
@pytest.mark.parametrize(
    ("m", "n"),
    [(1, 1), (5, 3), (1, 40), (40, 1), (7, 290), (23, 90), (259, 257)],
    ids=lambda size: str(size),
)
def test_every_form_of_a_product(m: int, n: int, rows: int) -> None:
    made = products(m, n)
    verify(made)
    values = initial_values(made, rows)
    executor = NativeExecutor(made, {}, rows=3, dtype="float64")
    executor.set_rows(rows, KEYS[:rows])
    for name, value in values.items():
        executor.write(name, value)
    wanted = Interpreter(made, values, rows, KEYS[:rows])
    for _ in range(2):
        executor.call("go")
        wanted.call("go")
        for name, expected in wanted.state.items():
            room = 1 + np.max(np.abs(expected), initial=0.0)
            np.testing.assert_allclose(executor.read(name), expected, atol=1e-12 * room, rtol=0)
