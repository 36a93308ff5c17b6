"""Small specs against the same equations written out in NumPy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import netdsl
from netdsl.ir.protocol import SplitRef

Array = NDArray[np.float64]
ROWS = 7
BACKENDS = ["numpy", "native"]
DATA = """
data digits { source = "digits"; batch = 7 }
protocol train(epochs = 1) {
  each epoch { each batch of digits.train { reset; clamp x.r = sample.image; PHASE } }
}
protocol test(split) { each batch of split { reset; clamp x.r = sample.image; TEST } }
"""
SOURCE = "edition 1\nneuron source { state r = 0 }\npopulation x : source[row: 8, col: 8]\n"
LEARNING = "phase run 1 step learning"
PLAIN = "phase run 1 step"


class Bench:
    """A compiled spec with seven images on it."""

    def __init__(
        self, text: str, backend: str, phase: str = LEARNING, test: str = PLAIN, **more: Any
    ) -> None:
        whole = SOURCE + text + DATA.replace("PHASE", phase).replace("TEST", test)
        self.model = netdsl.compile(whole, backend=backend, dtype="float64", seed=3, **more)
        split = self.model.datasets.open(SplitRef("digits", "train")).split
        self.x = np.array(split.field("image")[:ROWS], np.float64)
        self.label = np.array(split.field("label")[:ROWS])
        self.model.present(image=self.x, label=self.label)
        self.model.reset()
        self.model.state["x.r"] = self.x

    def __getitem__(self, key: str) -> Array:
        return np.array(self.model.state[key], np.float64)

    def __setitem__(self, key: str, value: object) -> None:
        self.model.state[key] = value

    def step(self, times: int = 1) -> None:
        for _ in range(times):
            self.model.step(phase="run", protocol="train")


def near(found: Array, wanted: Array) -> None:
    np.testing.assert_allclose(found, wanted, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_exact_lif_with_refractory_and_hold(backend: str) -> None:
    bench = Bench(
        """
        dt = 1 ms
        neuron cell {
          input i
          state v = 0.1
          d v/dt = (0.1 - v + i) / 20 ms
          integrate v with exact
          spike s when v > 0.5 { v := 0; refractory 3 steps hold v }
        }
        population a : cell[5]
        projection W : x -> a dense delay 0 { weight w ~ uniform(0, 0.4); deliver i += w * pre.r }
        record a.s every 1 step on test
        record a.v every 1 step on test
        """,
        backend,
        PLAIN,
    )
    current = bench.x @ bench["W.w"]
    v, left, decay = np.full((ROWS, 5), 0.1), np.zeros((ROWS, 5)), np.exp(-1 / 20)
    spikes = 0
    for _ in range(40):
        free = left == 0
        v = np.where(free, (0.1 + current) + (v - 0.1 - current) * decay, v)
        s = free & (v > 0.5)
        v = np.where(s, 0.0, v)
        left = np.where(s, 3, np.maximum(left - 1, 0))
        bench.step()
        near(bench["a.v"], v)
        near(bench["a.s"], s.astype(float))
        spikes += int(s.sum())
    assert spikes > 20


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("delay", "steps"), [("1 step", 1), ("3 steps", 3), ("2 ms", 4)])
def test_delays(backend: str, delay: str, steps: int) -> None:
    bench = Bench(
        f"""
        dt = 0.5 ms
        neuron counter {{ state c = 5; c := c + 1 }}
        neuron sum {{ input j; state seen = 0; seen := j }}
        population a : counter[2]
        population b : sum[3]
        projection P : a -> b dense delay {delay} {{ weight w = 1; deliver j += w * pre.c }}
        record b.seen every 1 step on test
        """,
        backend,
        PLAIN,
    )
    for t in range(8):  # after step t the counter is 6 + t; before the first it was 5
        bench.step()
        near(bench["b.seen"], np.full((ROWS, 3), 2.0 * (5 + max(0, t + 1 - steps))))


@pytest.mark.parametrize("backend", BACKENDS)
def test_oja_after_one_batch(backend: str) -> None:
    bench = Bench(
        """
        import std.rule { oja }
        neuron linear { input j; def y = j }
        population y : linear[4]
        projection W : x -> y dense delay 0 {
          weight w ~ normal(0, 0.1); deliver j += w * pre.r
          learn oja(rate = 0.02)
          reduce mean over batch
        }
        """,
        backend,
    )
    w = bench["W.w"]
    y = bench.x @ w
    bench.step()
    change = 0.02 * (bench.x.T @ y - (y**2).sum(0) * w) / ROWS
    near(bench["W.w"], w + change)


RULE = """
neuron linear {{ input j; def y = j }}
population y : linear[4]
rule hebbian {{ dw = pre.r * post.y }}
projection W : x -> y dense delay 0 {{
  weight w ~ normal(0, 0.1); deliver j += w * pre.r
  learn hebbian()
  optimise {optimiser}
}}
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_momentum(backend: str) -> None:
    bench = Bench(RULE.format(optimiser="momentum(rate = 1e-3, mass = 0.8, decay = 0.1)"), backend)
    w, m = bench["W.w"], np.zeros((64, 4))
    for _ in range(3):
        m = 0.8 * m + bench.x.T @ (bench.x @ w) - 0.1 * w
        w = w + 1e-3 * m
        bench.step()
        near(bench["W.w"], w)


@pytest.mark.parametrize("backend", BACKENDS)
def test_adamw(backend: str) -> None:
    bench = Bench(RULE.format(optimiser="adamw(rate = 0.01, decay = 0.1)"), backend)
    w, m, v = bench["W.w"], np.zeros((64, 4)), np.zeros((64, 4))
    for n in range(1, 4):
        g = bench.x.T @ (bench.x @ w)
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        step = (m / (1 - 0.9**n)) / (np.sqrt(v / (1 - 0.999**n)) + 1e-8)
        w = w + 0.01 * (step - 0.1 * w)
        bench.step()
        near(bench["W.w"], w)


@pytest.mark.parametrize("backend", BACKENDS)
def test_modulators_of_each_neuron_and_of_the_population(backend: str) -> None:
    bench = Bench(
        """
        neuron linear { input j; def y = j }
        population y : linear[4]
        modulator surprise on y { scope neuron; emit y - mean(y) }
        modulator level on y { scope global; emit max(y) }
        rule gated { dw = 0.1 * pre.r * surprise * level }
        projection W : x -> y dense delay 0 {
          weight w ~ normal(0, 0.1); deliver j += w * pre.r
          learn gated()
        }
        """,
        backend,
    )
    w = bench["W.w"]
    y = bench.x @ w
    bench.step()
    factor = (y - y.mean(1, keepdims=True)) * y.max(1, keepdims=True)
    near(bench["W.w"], w + 0.1 * bench.x.T @ factor)


@pytest.mark.parametrize("backend", BACKENDS)
def test_rk4_and_exponential_euler(backend: str) -> None:
    bench = Bench(
        """
        dt = 1 ms
        neuron cell {
          input i
          state u = 0.1
          state q = 0.2
          d u/dt = (u - u^3 + i) / 10 ms
          integrate u with rk4
          d q/dt = (-q * (1 + i) + 1) / 10 ms
          integrate q with expeuler
        }
        population a : cell[3]
        projection W : x -> a dense delay 0 { weight w ~ uniform(0, 0.1); deliver i += w * pre.r }
        record a.u every 1 step on test
        record a.q every 1 step on test
        """,
        backend,
        PLAIN,
    )
    i = bench.x @ bench["W.w"]
    u, q = np.full((ROWS, 3), 0.1), np.full((ROWS, 3), 0.2)

    def slope(at: Array) -> Array:
        return (at - at**3 + i) / 10

    for _ in range(5):
        k1 = slope(u)
        k2 = slope(u + k1 / 2)
        k3 = slope(u + k2 / 2)
        k4 = slope(u + k3)
        u = u + (k1 + 2 * k2 + 2 * k3 + k4) / 6
        rest = 1 / (1 + i)
        q = rest + (q - rest) * np.exp(-(1 + i) / 10)
        bench.step()
        near(bench["a.u"], u)
        near(bench["a.q"], q)


def test_two_equations_with_euler_advance_together() -> None:
    bench = Bench(
        """
        dt = 1 ms
        neuron cell {
          input i
          state u = 1
          state q = 0
          d u/dt = (i - q * u) / 10 ms
          d q/dt = u / 5 ms
          integrate u, q with euler
        }
        population a : cell[3]
        projection W : x -> a dense delay 0 { weight w ~ uniform(0, 0.1); deliver i += w * pre.r }
        record a.u every 1 step on test
        record a.q every 1 step on test
        """,
        "numpy",
        PLAIN,
    )
    i = bench.x @ bench["W.w"]
    u, q = np.ones((ROWS, 3)), np.zeros((ROWS, 3))
    for _ in range(4):
        u, q = u + (i - q * u) / 10, q + u / 5
        bench.step()
        near(bench["a.u"], u)
        near(bench["a.q"], q)


@pytest.mark.parametrize("backend", BACKENDS)
def test_cell_types_and_slices(backend: str) -> None:
    bench = Bench(
        """
        neuron cell { input e; input h; state v = 0; v := 0.5 * v + e - h; def r = relu(v) }
        population net : cell[10] types { E: 7; I: 3 }
        projection In : x -> net dense delay 0 {
          weight w ~ uniform(0, 0.1); deliver e += w * pre.r }
        projection IE : net.I -> net.E dense delay 1 step {
          weight w ~ uniform(0, 0.1); deliver h += w * pre.r }
        projection II : net.I -> net.I dense no_self delay 1 step {
          weight w ~ uniform(0, 0.1); deliver h += w * pre.r }
        projection All : net.I -> net dense no_self delay 1 step { deliver h += 0.01 * pre.r }
        projection Part : net.E -> net.I dense delay 1 step { deliver h += 0.02 * pre.r }
        record net.v every 1 step on test
        """,
        backend,
        PLAIN,
    )
    e = bench.x @ bench["In.w"]
    ie, ii = bench["IE.w"], bench["II.w"]
    assert ie.shape == (3, 7) and ii.shape == (3, 3) and not np.diag(ii).any()
    v = np.zeros((ROWS, 10))
    for _ in range(5):
        r = np.maximum(v, 0)
        h = np.zeros((ROWS, 10))
        h[:, :7] += r[:, 7:] @ ie
        h[:, 7:] += r[:, 7:] @ ii
        h += 0.01 * r[:, 7:].sum(1, keepdims=True)
        h[:, 7:] -= 0.01 * r[:, 7:]  # not from itself
        h[:, 7:] += 0.02 * r[:, :7].sum(1, keepdims=True)
        v = 0.5 * v + e - h
        bench.step()
        near(bench["net.v"], v)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("wiring", ["sparse(p = 0.4)", "fixed_in(2)", "dense no_self"])
def test_only_present_synapses_deliver(backend: str, wiring: str) -> None:
    bench = Bench(
        f"""
        neuron cell {{ input j; input k; state v = 0; v := j + k }}
        neuron give {{ input e; state r = 0; r := e }}
        population a : give[6]
        projection In : x -> a dense delay 0 {{
          weight w ~ normal(0, 1); deliver e += w * pre.r }}
        population b : cell[6]
        projection P : a -> {"a" if "self" in wiring else "b"} {wiring} delay 1 step {{
          weight w ~ uniform(1, 2)
          deliver {"e" if "self" in wiring else "j"} += (w + 1) * pre.r + 0.5 * pre.r
        }}
        record a.r every 1 step on test
        record b.v every 1 step on test
        """,
        backend,
        PLAIN,
    )
    there = (bench["P.w"] > 0).astype(float)
    assert 0 < there.sum() < 36
    weight = there * (bench["P.w"] + 1.5)
    given = bench.x @ bench["In.w"]
    r = np.zeros((ROWS, 6))
    for _ in range(3):
        arrived = r @ weight
        r = given + arrived if "self" in wiring else given
        bench.step()
        near(bench["a.r"], r)
        if "self" not in wiring:
            near(bench["b.v"], arrived)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_readout_over_a_phase_of_a_definition_of_an_input(backend: str) -> None:
    bench = Bench(
        """
        neuron linear { input j; def y = j }
        population y : linear[4]
        projection W : x -> y dense delay 0 { weight w ~ normal(0, 0.1); deliver j += w * pre.r }
        projection B : std.one -> y dense delay 0 { weight w = 0.5; deliver j += w * pre.s }
        readout found = mean(y.y over run)
        metric level = mean(sum(found))
        """,
        backend,
        PLAIN,
        "phase run 2 steps",
    )
    result = bench.model.evaluate("test", "train")
    split = bench.model.datasets.open(SplitRef("digits", "train")).split
    x = np.array(split.field("image")[:], np.float64)
    wanted = (x @ bench["W.w"] + 0.5).sum(1).mean()
    assert result.metrics["level"] == pytest.approx(wanted, rel=1e-9)
