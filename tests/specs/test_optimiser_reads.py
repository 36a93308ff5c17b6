"""What an optimiser and the tail of an update read: numbers of the synapse and shared ones.

Of a modulator it is the mean over the batch, since a weight changes once for all samples.
"""

from __future__ import annotations

import numpy as np
import pytest

import netdsl
from netdsl.backends.cupy import shim
from netdsl.diagnostics import DiagnosticError
from netdsl.runtime import backend as backends
from tests.backends import test_cuda_golden

SPEC = """\
edition 1
neuron source {{ state s = 0 }}
neuron unit {{ input i; state s = 0; s := relu(i) }}
population a : source[3]
population b : unit[2]
modulator lr on b {{ scope {scope}; emit {emit} }}
optimiser plain(rate) {{ state m = 0; m := 0.5 * m + rate * g; change = m }}
rule hebb {{ dw = pre.s * post.s; {tail} }}
projection W : a -> b {edge} delay 0 {{
  weight w = 0.1 * (pre.index + 1) + 0.05 * post.index
  deliver i += w * pre.s
  learn hebb()
}}
data d {{ source = "digits"; batch = 3 }}
protocol train {{
  each batch of d.train {{ clamp a.s = sample.image; phase run 3 steps learning }}
}}
"""
X = np.array([[1, 2, 0.5], [0.3, 0, 2], [1, 1, 1.0]])
OPTIMISE, AFTER = "optimise plain(rate = lr)", "after update { w := w@prev * (1 - lr) }"


def by_hand(scope: str, tail: str) -> np.ndarray:
    w = np.array([[0.1 * (i + 1) + 0.05 * j for j in range(2)] for i in range(3)])
    m = np.zeros_like(w)
    for _ in range(3):
        s = np.maximum(X @ w, 0)
        rate = (0.01 * s if scope == "neuron" else 0.01 * s.sum(1, keepdims=True)).mean(0)
        m = 0.5 * m + rate * (X.T @ s)
        w = w * (1 - rate) if tail == AFTER else w + m
    return w


@pytest.mark.parametrize("tail", [OPTIMISE, AFTER], ids=["optimise", "after update"])
@pytest.mark.parametrize("scope", ["population", "neuron", "global"])
@pytest.mark.parametrize("backend", ["numpy", "native", "shim"])
def test_a_modulator_counts_with_its_mean(
    backend: str, scope: str, tail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if backend == "shim":
        if shim.compiler() is None:
            pytest.skip("no g++ for CUDA on the CPU")
        one = (test_cuda_golden.__name__, test_cuda_golden.OneThread.__name__)
        monkeypatch.setitem(backends.BACKENDS, "shim", one)
    emit = "0.01 * s" if scope == "neuron" else "0.01 * sum(s)"
    for edge in ("dense", "sparse(p = 1)"):
        text = SPEC.format(scope=scope, emit=emit, tail=tail, edge=edge)
        model = netdsl.compile(text, backend, dtype="float64")
        model.present(image=X)
        model.reset()
        model.phase("run")
        np.testing.assert_allclose(model.state["W.w"], by_hand(scope, tail), 1e-12)


REFUSED = {
    "a field": ("E0117", "optimise plain(rate = sample.label)"),
    "a field after the update": ("E0117", "after update { w := w * sample.label }"),
    "a waived sum": (
        "E0117",
        'after update { w := w / sum(w over pre) }; allow aggregated_weights because "a test"',
    ),
    "a unit": ("E0117", "optimise plain(rate = post.s)"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_anything_else_is_refused_at_its_place(case: str) -> None:
    code, tail = REFUSED[case]
    text = SPEC.format(scope="population", emit="sum(s)", tail=tail, edge="dense")
    with pytest.raises(DiagnosticError) as caught:
        netdsl.compile(text, "numpy")
    errors = [d for d in caught.value.diagnostics if d.severity == "error"]
    assert [(d.code, d.primary.line) for d in errors] == [(code, 8)]


def test_a_batch_reduction_of_a_field_is_shared() -> None:
    tail = "optimise plain(rate = 0.001 * mean(sample.label over batch))"
    text = SPEC.format(scope="population", emit="sum(s)", tail=tail, edge="dense")
    found = []
    for backend in ("numpy", "native"):
        model = netdsl.compile(text, backend, dtype="float64")
        model.present(image=X, label=np.array([1, 2, 6]))
        model.reset()
        model.phase("run")
        found.append(model.state["W.w"])
    np.testing.assert_allclose(found[0], found[1], 1e-12)
