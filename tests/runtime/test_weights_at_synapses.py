"""Start values of synapses that read neurons, in a matrix and where only some synapses are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from netdsl.api import Model
from netdsl.frontend import check
from netdsl.passes import lower
from netdsl.streams.connectivity import Connections

SPEC = """
edition 1
dt = 1 ms
neuron src {{ param g per neuron ~ uniform(1, 2); state s = 1; s := s * g }}
neuron dst {{ input j; param h per neuron ~ uniform(1, 2); state v = 0; v := j * h }}
population a : src[50] types {{ E: 20; I: 30 }}
population b : dst[40] types {{ L: 15; R: 25 }}
projection P : {ends} {wiring} fixed delay 1 step {{ weight {weight}; deliver j += w * pre.s }}
protocol train {{ phase run 3 steps }}
"""
WIRINGS = (
    "dense",
    "fixed_in(3)",
    "fixed_out(4)",
    "sparse(p = 0.3)",
    "sparse(p = 0.2, draw = exact)",
)
ENDS = {"a -> b": (0, 50, 0, 40), "a.I -> b": (20, 50, 0, 40), "a.E -> b.R": (0, 20, 15, 40)}


def state(synapses: str, **parts: str) -> Any:
    network = check(SPEC.format(**parts), lower=False).require()
    program = lower(network, synapses=synapses, observe=("a.g", "b.h"))
    return Model(network, program, "numpy", 3, "float64").state


@pytest.mark.parametrize("ends", ENDS)
@pytest.mark.parametrize("wiring", WIRINGS)
def test_weights_that_read_their_neurons(ends: str, wiring: str) -> None:
    m0, m1, n0, n1 = ENDS[ends]
    for synapses in ("edges", "masked"):
        held = state(synapses, ends=ends, wiring=wiring, weight="w = pre.g + 10 * post.h")
        w: NDArray[np.float64] = held["P.w"]
        wanted = held["a.g"][m0:m1, None] + 10 * held["b.h"][None, n0:n1]
        assert w.any()
        np.testing.assert_allclose(w[w != 0], wanted[w != 0], rtol=1e-15)


@pytest.mark.parametrize("weight", ["w ~ normal(pre.g, 0.1 * post.h)", "w ~ uniform(0, pre.g)"])
@pytest.mark.parametrize("ends", ENDS)
def test_drawn_weights_are_the_same_by_synapse(
    ends: str, weight: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = {"ends": ends, "wiring": "sparse(p = 0.3)", "weight": weight}
    masked = state("masked", **parts)["P.w"]
    # No matrix is made on the way.
    monkeypatch.setattr(Connections, "values", None)
    held = state("edges", **parts)
    np.testing.assert_array_equal(held["P.w"], masked)
