"""Gradients of spiking networks equal an independent reverse sweep, written out in NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.reverse.networks import Sample
from tests.reverse.test_differences import MISSING, modelled

Floats = NDArray[np.float64]
STEPS, DELAY, HOLD, INPUTS, CELLS, CLASSES, ROWS = 7, 2, 2, 4, 6, 3, 5

SPIKING = f"""\
edition 1
neuron source {{ state v = 0 }}
neuron cell {{ input j; state v = 0; state b = 0.1
  v := 0.8 * v + j - 0.3 * b + 0.05 * detach(v * v)
  spike s when v > 0.3 {{ v := v - 0.5 * v
    refractory {HOLD} step; surrogate triangle(damp = 0.4, width = 0.8) }}
  b := 0.9 * b + 0.2 * s@prev }}
neuron leak {{ input j; state y = 0; y := 0.7 * y + j }}
celltype E sign +
celltype I sign -
population x : source[{INPUTS}]
population h : cell[{CELLS}] types {{ E: 4; I: 2 }}
population out : leak[{CLASSES}]
projection Wi : x -> h dense delay 0 {{
  weight w ~ uniform(-0.5, 1); deliver j += w * pre.v; learn bptt(loss = E) }}
projection Wr : h -> h dense no_self sign by pre delay {DELAY} step {{
  weight w ~ uniform(-0.2, 0.6); deliver j += w * pre.s; learn bptt(loss = E) }}
projection Wo : h -> out dense delay 1 step {{
  weight w ~ uniform(-1, 1); deliver j += w * pre.s; learn bptt(loss = E) }}
loss E = mean(sum((out.y@run - onehot(sample.label))^2))
allow non_local on bptt because "the gradient itself is tested"
data d {{ source = "digits"; batch = 3; split train = train }}
protocol train {{
  each batch of d.train {{
    reset
    clamp x.v = sample.image
    phase run {STEPS} steps
    update Wi, Wr, Wo
  }}
}}
"""
SIGN = np.array([1.0] * 4 + [-1.0] * 2)[:, None]


def sweep(wi: Floats, wr: Floats, wo: Floats, image: Floats, label: NDArray[np.int64]) -> Floats:
    """Gradients by Wi, Wr and Wo, one after the other in one array."""
    shape = (STEPS + 1, ROWS, CELLS)
    v, s, b, u, free = (np.zeros(shape) for _ in range(5))
    b[0] = 0.1
    y, wait = np.zeros((STEPS + 1, ROWS, CLASSES)), np.zeros((ROWS, CELLS))
    for t in range(1, STEPS + 1):
        j = image @ wi + s[max(t - DELAY, 0)] @ wr
        u[t] = 0.8 * v[t - 1] + j - 0.3 * b[t - 1] + 0.05 * v[t - 1] ** 2
        free[t] = wait <= 0
        s[t] = (u[t] > 0.3) & (wait <= 0)
        v[t] = np.where(s[t] > 0, 0.5 * u[t], u[t])
        wait = np.where(s[t] > 0, HOLD, np.maximum(wait - 1, 0))
        b[t] = 0.9 * b[t - 1] + 0.2 * s[t - 1]
        y[t] = 0.7 * y[t - 1] + s[t - 1] @ wo
    assert 0.1 < s[1:].mean() < 0.6
    gi, gr, go = np.zeros_like(wi), np.zeros_like(wr), np.zeros_like(wo)
    dv, db, ds = (np.zeros((STEPS + 1, ROWS, CELLS)) for _ in range(3))
    dy = 2 * (y[STEPS] - np.eye(CLASSES)[label]) / ROWS
    for t in range(STEPS, 0, -1):
        go += s[t - 1].T @ dy
        ds[t - 1] += dy @ wo.T
        dy = 0.7 * dy
        db[t - 1] += 0.9 * db[t]
        ds[t - 1] += 0.2 * db[t]
        ds[t] += dv[t] * (0.5 * u[t] - u[t])
        slope = free[t] * 0.4 / 0.8 * np.maximum(0, 1 - np.abs(u[t] - 0.3) / 0.8)
        du = dv[t] * np.where(s[t] > 0, 0.5, 1.0) + ds[t] * slope
        dv[t - 1] += 0.8 * du
        db[t - 1] -= 0.3 * du
        gi += image.T @ du
        if t >= DELAY:
            gr += s[t - DELAY].T @ du
            ds[t - DELAY] += du @ wr.T
    return np.concatenate([gi.ravel(), gr.ravel(), go.ravel()])


@pytest.mark.parametrize("backend", ["judge", "numpy", "native", "shim"])
def test_independent_sweep(backend: str) -> None:
    if MISSING.get(backend):
        pytest.skip(f"{backend} is not there")
    rng = np.random.default_rng(1)
    image, label = rng.uniform(0, 1, (ROWS, INPUTS)), rng.integers(0, CLASSES, ROWS)
    model = modelled(Sample(SPIKING, ("Wi", "Wr", "Wo"), STEPS), backend)
    model.present(image=image, label=label)
    model.reset()
    model.phase("run", "train")
    wr = SIGN * np.maximum(np.array(model.state["Wr.mag"]), 0)
    wi, wo = np.array(model.state["Wi.w"]), np.array(model.state["Wo.w"])
    wanted = -sweep(wi, wr, wo, image, label)
    model.update()
    found = np.concatenate([np.array(model.state[f"{w}.dw"]).ravel() for w in ("Wi", "Wr", "Wo")])
    absent = np.concatenate([np.zeros(wi.size), (wr == 0).ravel(), np.zeros(wo.size)]).astype(bool)
    np.testing.assert_allclose(np.where(absent, 0, found), np.where(absent, 0, wanted), atol=1e-13)
    model.close()
