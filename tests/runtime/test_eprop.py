"""The hand-written e-prop rule against the equations, computed here for each synapse and sample."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from netdsl.api import Model
from netdsl.backends.cupy import shim
from netdsl.backends.native import available
from netdsl.frontend import check
from netdsl.passes import lower
from netdsl.runtime import backend as backends

Array = NDArray[np.float64]
N, N_IN, OUT, ROWS, STEPS = 6, 4, 2, 3, 12
SPEC = """
edition 1
dt = 1 ms
param thr = 0.3
neuron source {{ state p = 0; state n = 0; n := p }}
neuron alif {{
  param beta per neuron = 1.8 if index >= 3 else 0
  param alpha = 0.9
  param rho = 0.95
  param kappa = 0.8
  input i
  state b = 0
  state v = 0
  b := rho * b + (1 - rho) * s@prev
  def A = thr + beta * b
  v := alpha * v + (1 - alpha) * i - thr * s@prev
  spike s when v > A {{ surrogate triangle(damp = 0.3, width = thr) }}
  def psi = grad(s, v)
  state y = 0
  y := kappa * y + (1 - kappa) * s
  input feedback
}}
neuron readout_cell {{
  input o
  state target = 0
  def err = softmax(o) - target
}}
population x : source[4]
population rec : alif[6]
population out : readout_cell[2]
rule eprop(pre_x) {{
  reads pre_x, post.psi, post.beta, post.alpha, post.rho, post.kappa, post.feedback@trial
  state ev = 0
  state ea = 0
  state F = 0
  let pp = post.psi@prev
  let ev1 = (post.alpha - thr * pp) * ev + thr * post.beta * pp * ea + (1 - post.alpha) * pre_x
  ea := (1 - post.rho) * pp * ev + (post.rho - (1 - post.rho) * post.beta * pp) * ea
  ev := ev1
  let e = post.psi * (ev - post.beta * ea)
  F := post.kappa * F + (1 - post.kappa) * e
  at update {{ dw = -post.feedback@trial * F }}
  reduce mean over batch
}}
projection Win : x -> rec {wiring} delay 0 {{
  weight w ~ normal(0.5, 1)
  deliver i += w * pre.n
  learn eprop(pre_x = pre.n)
}}
projection R : rec -> rec {wiring} delay {delay} {{
  weight w ~ normal(0.5, 1)
  deliver i += w * pre.s
  learn eprop(pre_x = pre.s)
}}
projection Wout : rec -> out dense delay 0 {{ weight w ~ normal(0, 1); deliver o += w * pre.y }}
projection B : out -> rec dense fixed delay 1 step {{
  weight w ~ normal(0, 1); deliver feedback += w * pre.err
}}
protocol train {{ reset; phase trial 12 steps learning; update Win, R }}
"""
BACKENDS = [
    "numpy",
    pytest.param("native", marks=pytest.mark.skipif(not available()[0], reason="no C compiler")),
    pytest.param("shim", marks=pytest.mark.skipif(shim.compiler() is None, reason="no g++")),
]


@pytest.fixture(autouse=True)
def _shim(monkeypatch: pytest.MonkeyPatch) -> None:
    place = ("netdsl.backends.cupy.shim", "ShimExecutor")
    monkeypatch.setitem(backends.BACKENDS, "shim", place)


def model(backend: str, synapses: str, **parts: Any) -> Model:
    network = check(SPEC.format(**parts), lower=False).require()
    program = lower(network, synapses=synapses, observe=("rec.psi",), form="online")
    return Model(network, program, backend, 3, "float64", rows=ROWS)


def mask_of(held: Any, name: str) -> Array:
    return (held[f"{name}.w"] != 0).astype(float)


class Expected:
    """The network and its rule for some rows, in plain NumPy."""

    def __init__(self, weights: dict[str, Array], rows: int, delay: int) -> None:
        self.w, self.rows = weights, rows
        self.spikes = [np.zeros((rows, N))] * (delay + 1)  # s, newest first
        self.beta = np.where(np.arange(N) >= 3, 1.8, 0.0)
        self.b, self.v, self.y = (np.zeros((rows, N)) for _ in range(3))
        self.s = np.zeros((rows, N))
        self.psi = self._psi()
        shapes = {"Win": (rows, N_IN, N), "R": (rows, N, N)}
        self.ev, self.ea, self.F = (
            {name: np.zeros(shape) for name, shape in shapes.items()} for _ in range(3)
        )

    def _psi(self) -> Array:
        margin = self.v - (0.3 + self.beta * self.b)
        return 0.3 / 0.3 * np.maximum(0, 1 - np.abs(margin) / 0.3)

    def step(self, x: Array, target: Array) -> None:
        alpha, rho, kappa, thr = 0.9, 0.95, 0.8, 0.3
        before, old = self.s, self.psi
        late = self.spikes[-2]  # the s of `delay` steps ago, when this step ends
        i = x @ self.w["Win"] + late @ self.w["R"]
        self.b = rho * self.b + (1 - rho) * before
        self.v = alpha * self.v + (1 - alpha) * i - thr * before
        self.s = (self.v > thr + self.beta * self.b).astype(float)
        self.y = kappa * self.y + (1 - kappa) * self.s
        self.psi = self._psi()
        self.spikes = [self.s, *self.spikes[:-1]]
        o = self.y @ self.w["Wout"]
        p = np.exp(o - o.max(1, keepdims=True))
        self.feedback = (p / p.sum(1, keepdims=True) - target) @ self.w["B"]
        for name, pre in (("Win", x), ("R", late)):
            for r in range(self.rows):
                for q in range(pre.shape[1]):
                    for p_ in range(N):
                        ev, ea = self.ev[name][r, q, p_], self.ea[name][r, q, p_]
                        beta, pp = self.beta[p_], old[r, p_]
                        new = (alpha - thr * pp) * ev + thr * beta * pp * ea
                        new += (1 - alpha) * pre[r, q]
                        ea = (1 - rho) * pp * ev + (rho - (1 - rho) * beta * pp) * ea
                        self.ev[name][r, q, p_], self.ea[name][r, q, p_] = new, ea
                        e = self.psi[r, p_] * (new - beta * ea)
                        held = self.F[name][r, q, p_]
                        self.F[name][r, q, p_] = kappa * held + (1 - kappa) * e

    def change(self, name: str) -> Array:
        return np.asarray(-(self.feedback[:, None, :] * self.F[name]).mean(0))


def trial(found: Model, rows: int, delay: int, seed: int) -> None:
    """One presentation and its update, compared."""
    random = np.random.default_rng(seed)
    counts = random.poisson(0.8, (STEPS, rows, N_IN)).astype(float)
    target = np.eye(OUT)[random.integers(0, OUT, rows)]
    found.present(label=np.zeros(rows))
    found.reset()
    state = found.state
    weights = {name: np.array(state[f"{name}.w"]) for name in ("Win", "R", "Wout", "B")}
    masks = {name: mask_of(state, name) for name in ("Win", "R")}
    wanted = Expected(weights, rows, delay)
    state["out.target"] = target
    for x in counts:
        state["x.p"] = x
        found.step(phase="trial")
        wanted.step(x, target)
        for name, mask in masks.items():
            held = wanted.F[name] * mask
            np.testing.assert_allclose(state[f"{name}.eprop.F"], held, rtol=0, atol=1e-12)
    assert wanted.s.shape == (rows, N) and np.abs(wanted.F["R"]).max() > 1e-3
    found.update()
    for name, mask in masks.items():
        change = mask * wanted.change(name)
        assert np.abs(change).max() > 1e-4
        new = weights[name] + change
        np.testing.assert_allclose(state[f"{name}.w"], new, rtol=0, atol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("wiring", "synapses", "delay"),
    [("dense", "auto", 1), ("sparse(p = 0.5)", "edges", 2), ("sparse(p = 0.5)", "masked", 1)],
)
def test_eprop(backend: str, wiring: str, synapses: str, delay: int) -> None:
    found = model(backend, synapses, wiring=wiring, delay=f"{delay} step")
    for seed, rows in enumerate((3, 2, 3)):  # a smaller batch between
        trial(found, rows, delay, seed)
    found.close()
