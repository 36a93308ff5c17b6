"""Every routine of the specs that travel with the program: native code against the interpreter."""

from __future__ import annotations

import numpy as np
import pytest

from netdsl.backends.native import NativeExecutor, available
from netdsl.frontend import check, lower_network
from netdsl.paths import data_path
from tests.amounts import sweep
from tests.interpreter import Interpreter
from tests.programs import initial_values

pytestmark = pytest.mark.skipif(not available()[0], reason="no C compiler")
ROWS = 4
KEYS = np.arange(ROWS, dtype=np.uint64)


@pytest.mark.parametrize(
    "name",
    sweep(
        ["csdp", "csdp_unsupervised", "corinfomax_sparse", "ep_3", "pc"],
        lambda name: name != "csdp_unsupervised",
    ),
)
def test_routines_of_specs(name):
    network = check(str(data_path("specs") / f"{name}.net")).network
    assert network is not None
    made = lower_network(network)
    initial = initial_values(made, ROWS)
    reference = Interpreter(made, initial, ROWS, KEYS)
    executor = NativeExecutor(made, initial, rows=ROWS, dtype="float64")
    executor.set_rows(ROWS, KEYS)
    for routine in made.routines.values():
        steps = 3 if routine.kind == "phase" else 0
        reference.call(routine.name, steps)
        executor.call(routine.name, steps)
        for buffer in made.buffers:
            expected = reference.state[buffer]
            scale = 1 + np.abs(expected)
            np.testing.assert_allclose(
                executor.read(buffer) / scale,
                expected / scale,
                atol=1e-11,
                err_msg=f"{buffer} after {routine.name}",
            )
