"""Delays of many steps: what arrives, for rows that come and go, and what a long line costs."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import netdsl
from netdsl.backends.cupy import shim
from netdsl.backends.native import available
from netdsl.runtime import backend as backends
from netdsl.runtime.errors import RunFault
from netdsl.runtime.memory import buffer_bytes, require_memory

BACKENDS = [
    pytest.param("numpy"),
    pytest.param("native", marks=pytest.mark.skipif(not available()[0], reason="no C compiler")),
    pytest.param("cupy", marks=pytest.mark.skipif(shim.compiler() is None, reason="no g++")),
]
CELLS = """edition 1
dt = 1 ms
neuron source {
  state p = 0 keep; state v = 0.5 keep; state s : bool = false keep
  v := 0.75 * v + p - s
  s := v > 1
}
neuron screen { input a; input b; state ra = 0 keep; state rb = 0 keep; ra := a; rb := b }
population x : source[3]
population z : screen[2]
"""
EDGES = """
projection P%(n)d : x -> z %(form)s delay %(k)d steps { weight w = %(w)s; deliver %(to)s }
"""
REST = """
data d { source = "digits"; batch = 4 }
protocol train { each batch of d.train { phase run 60 steps } }
readout shown = sum(z.ra)
metric m = mean(shown)
"""


def spec(edges: list[tuple[int, float, bool]]) -> str:
    """Edges as (steps, weight, does it send spikes)."""
    text = CELLS
    for n, (k, w, spikes) in enumerate(edges):
        to = "b += w * pre.s" if spikes else "a += w * pre.v"
        text += EDGES % {"n": n, "form": "dense fixed", "k": k, "w": w, "to": to}
    return text + REST


class Lines:
    """Cells and delay lines of one row after another, kept as lists of what they were."""

    def __init__(self, rows: int, edges: list[tuple[int, float, bool]]) -> None:
        self.edges = edges
        self.v = [[np.full(3, 0.5)] for _ in range(rows)]
        self.s = [[np.zeros(3)] for _ in range(rows)]

    def step(self, rows: int) -> dict[str, np.ndarray]:
        """One step of the first rows, and what they show then."""
        shown = {"ra": np.zeros((rows, 2)), "rb": np.zeros((rows, 2))}
        for row in range(rows):
            v, s = self.v[row], self.s[row]
            for k, w, spikes in self.edges:
                line = s if spikes else v
                sent = line[-k] if k <= len(line) else line[0]
                shown["rb" if spikes else "ra"][row] += w * sent.sum()
            v.append(0.75 * v[-1] + DRIVE[row] - s[-1])
            s.append((v[-1] > 1).astype(float))
        return shown


DRIVE = np.array([[0.3, 0.4, 0.9], [0.0, 0.35, 0.5], [0.7, 0.2, 0.31], [1.2, 0.26, 0.28]])


def follow(backend: str, edges: list[tuple[int, float, bool]], batches: list[int]) -> None:
    """Batches of some sizes without a reset between them: each row goes on where it stopped."""
    model = netdsl.compile(spec(edges), backend, dtype="float64")
    lines = Lines(4, edges)
    for rows in batches:
        model.present(image=np.zeros((rows, 64)), label=np.zeros(rows))
        model.state["x.p"] = DRIVE[:rows]
        for _ in range(7):
            model.step()
            for name, wanted in lines.step(rows).items():
                np.testing.assert_allclose(model.state[f"z.{name}"], wanted, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_rows_that_are_absent_keep_their_lines(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(backends.BACKENDS, "cupy", ("netdsl.backends.cupy.shim", "ShimExecutor"))
    edges = [(2, 0.5, False), (9, 1.0, True), (3, -0.25, True), (13, 2.0, False), (1, 1.0, True)]
    follow(backend, edges, [4, 2, 3, 1, 4, 4])


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(2, 40), st.sampled_from([0.5, -1.0, 2.0]), st.booleans()),
        min_size=1,
        max_size=5,
    ),
    st.lists(st.integers(1, 4), min_size=1, max_size=8),
)
def test_any_delays(edges: list[tuple[int, float, bool]], batches: list[int]) -> None:
    follow("numpy", edges, batches)


LONG = """edition 1
dt = 1 ms
neuron src { state c = 0; state s = 0; s := 1 if c == 3 else 0; c := c + 1 }
neuron dst { input j; state v = 0; v := j }
population a : src[1]
population b : dst[1]
projection P : a -> b dense delay %s { deliver j += pre.s }
protocol test { phase run 30 steps }
"""


@pytest.mark.parametrize("delay,steps", [("10 s", 10_000), ("1 h", 3_600_000)])
def test_long_delays_compile_at_once(delay: str, steps: int) -> None:
    began = time.perf_counter()
    model = netdsl.compile(LONG % delay, "numpy")
    assert time.perf_counter() - began < 5
    assert max(buffer.slots for buffer in model.program.buffers.values()) == steps


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("steps", [10_000, 1_000_000])
def test_long_delays_run(backend: str, steps: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(backends.BACKENDS, "cupy", ("netdsl.backends.cupy.shim", "ShimExecutor"))
    began = time.perf_counter()
    model = netdsl.compile(LONG % f"{steps} step", backend)
    model.present()
    assert time.perf_counter() - began < 20
    held = sum(buffer_bytes(model.program, 1, "float32").values())
    assert 4 * steps <= held <= 4 * steps + 200
    seen = []
    for _ in range(12):
        model.step()
        seen.append(float(model.state["b.v"].ravel()[0]))
    assert seen == [0.0] * 12


def test_a_line_that_no_machine_holds_is_refused_with_its_cost() -> None:
    began = time.perf_counter()
    with pytest.raises(netdsl.DiagnosticError, match=r"1000000000 values.*4 GB"):
        netdsl.compile(LONG % "1000000000 step", "numpy")
    assert time.perf_counter() - began < 2


def test_what_a_line_needs_is_reckoned_before_it_is_taken() -> None:
    program = netdsl.compile(LONG % "100000 step", "numpy").program
    with pytest.raises(RunFault, match=r"a\.s@past\.steps"):
        require_memory(program, 1000, "float32", available=100 << 20)
