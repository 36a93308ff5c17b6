"""Samples that a smaller batch leaves out stay as they were, in delay lines too."""

from __future__ import annotations

import numpy as np
import pytest

import netdsl
from netdsl.backends.cupy import shim
from netdsl.ir.places import of_rows
from netdsl.runtime import backend as backends

SPEC = """\
edition 1
dt = 1 ms
neuron unit {{ input j; state v ~ normal(0, 1); v := 0.5 * v + tanh(j) + 0.1 }}
population a : unit[5]
population b : unit[3]
projection W : a -> b dense delay {delay} steps {{
  weight w ~ normal(0, 1); deliver j += w * pre.v
}}
protocol train {{ phase run 1 step }}
"""
BACKENDS = ["numpy", "native", *(["shim"] if shim.compiler() is not None else [])]


@pytest.mark.parametrize("delay", [2, 3, 4])
@pytest.mark.parametrize("backend", BACKENDS)
def test_rows_left_out(backend: str, delay: int, monkeypatch: pytest.MonkeyPatch) -> None:
    place = ("netdsl.backends.cupy.shim", "ShimExecutor")
    monkeypatch.setitem(backends.BACKENDS, "shim", place)
    model = netdsl.compile(
        SPEC.format(delay=delay), backend, dtype="float64", rows=6, observe=["b.v"]
    )
    model.present()
    session = model.session
    for few in (2, 4, 1):
        session.executor.set_rows(6, np.arange(6, dtype=np.uint64))
        model.step(5, phase="run")
        before = session.per_sample()
        for steps in (1, 2, 5):
            session.executor.set_rows(few)
            model.step(steps, phase="run")
            for name, value in session.per_sample().items():
                absent = of_rows(session.program.buffers[name], slice(few, None))
                found, wanted = value[absent], before[name][absent]
                np.testing.assert_array_equal(found, wanted, err_msg=name)
