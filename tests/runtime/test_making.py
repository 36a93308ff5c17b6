"""Initialisers in steps: `dale_balanced` against NumPy by hand, in every layout and shape."""

from __future__ import annotations

import numpy as np
import pytest

import netdsl
from netdsl.diagnostics import DiagnosticError
from netdsl.ir.text import parse_program, program_text
from netdsl.streams.draws import PhiloxStream

TEXT = """\
edition 1
celltype E sign +
celltype I sign -
neuron source {{ state s = 0 }}
neuron unit {{ input i; def r = i }}
initialiser mine(a) {{
  m ~ bernoulli(0.5)
  w ~ normal(0, 1)
  when a > 1 {{ w := a * w }}
  let largest = max(abs(w) over post)
  w := m * w / largest
}}
population a : source[{m}] types {{ I: {i}; E: {e} }}
population b : unit[{n}]
projection W : a -> b {edge} {sign} delay 0 {{ weight w ~ {start}; deliver i += w * pre.s }}
"""


def weight(m: int, n: int, edge: str, sign: str, start: str) -> np.ndarray:
    spec = TEXT.format(m=m, n=n, i=m // 4, e=m - m // 4, edge=edge, sign=sign, start=start)
    model = netdsl.compile(spec, "numpy", seed=5, dtype="float64", rows=1)
    again = parse_program(program_text(model.program))
    assert again.buffers == model.program.buffers
    return model.state["W.mag" if sign else "W.w"]


def balanced(m: int, radius: float) -> np.ndarray:
    """The sheet's steps, one after the other."""
    sign = np.where(np.arange(m) < m // 4, -1.0, 1.0)
    exc, inh = sign > 0, sign < 0
    w = sign[:, None] * np.abs(PhiloxStream(5, "W.mag").array((m, m), "normal"))
    w[inh] *= w[exc].sum() / abs(w[inh].sum())
    for column in w.T:
        total = column.sum()
        if total < 0:
            column[exc] += abs(total) / exc.sum()
        else:
            column[inh] -= abs(total) / inh.sum()
    assert np.allclose(w.sum(axis=0), 0)
    return radius * np.abs(w) / np.abs(np.linalg.eigvals(w)).max()


@pytest.mark.parametrize("edge", ["dense", "sparse(p = 0.3)", "sparse(p = 0.05)"])
@pytest.mark.parametrize(("m", "n"), [(20, 20), (20, 6), (12, 30)])
def test_balanced(edge: str, m: int, n: int) -> None:
    found = weight(m, n, edge, "sign by pre", "dale_balanced(radius = 0.9)")
    whole = balanced(m, 0.9)
    taken = PhiloxStream(5, "W.mag.columns").integers(m, n) if n > m else np.arange(n)
    there = found != 0
    assert np.allclose(found[there], whole[:, taken][there], atol=1e-12)
    assert there.all() == (edge == "dense")


def test_by_hand() -> None:
    found = weight(8, 5, "dense", "", "mine(2)")
    w = 2 * PhiloxStream(5, "W.w").array((8, 5), "normal")
    m = PhiloxStream(5, "W.w.m").array((8, 5)) < 0.5
    assert np.allclose(found, m * w / np.abs(w).max(axis=1, keepdims=True))


def test_a_start_without_values() -> None:
    with pytest.raises(DiagnosticError, match="E0666"):
        spec = TEXT.replace("w := m * w / largest", "w := w / (m * 0)")
        spec = spec.format(m=8, n=5, i=2, e=6, edge="dense", sign="", start="mine(1)")
        netdsl.compile(spec, "numpy", rows=1).state["W.w"]
