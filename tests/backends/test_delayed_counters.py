"""What is sent late may be computed from numbers that all samples share: counters and controls."""

from __future__ import annotations

import numpy as np
import pytest

import netdsl
from netdsl.backends.cupy import shim
from netdsl.backends.native import available
from netdsl.runtime import backend as backends

SPEC = """edition 1
dt = 1 ms
control nudge = 0.5
neuron clock { state r = 0; def y = 10 * phase.step + t + nudge + r }
neuron cell { input j; state got = 0; got := j }
population a : clock[3]
population b : cell[3]
projection W : a -> b one_to_one delay %d step { deliver j += pre.y }
data d { source = "digits"; batch = 2 }
protocol train { each batch of d.train limit 1 { reset; phase see 7 steps } }
readout last = mean(b.got@see)
"""
BACKENDS = [
    pytest.param("numpy"),
    pytest.param("native", marks=pytest.mark.skipif(not available()[0], reason="no C compiler")),
    pytest.param("cupy", marks=pytest.mark.skipif(shim.compiler() is None, reason="no g++")),
]


@pytest.mark.parametrize("steps", range(5))
@pytest.mark.parametrize("backend", BACKENDS)
def test_counters_of_the_step_that_sent(
    backend: str, steps: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(backends.BACKENDS, "cupy", ("netdsl.backends.cupy.shim", "ShimExecutor"))
    model = netdsl.compile(SPEC % steps, backend, dtype="float64")
    model.present(image=np.zeros((2, 64)), label=np.zeros(2))
    model.reset()
    for step in range(7):
        model.step()
        if step >= steps:
            sent = 11 * (step - steps) + 0.5
            np.testing.assert_array_equal(model.state["b.got"], np.full((2, 3), sent))
