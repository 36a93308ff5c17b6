"""CSDP in JAX: dense matrix products, one compiled loop over the steps of a presentation.

The equations are those of specs/csdp.net with labels; inputs are drawn inside the compiled loop.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

PRE_POST = {
    "W1": ("img", "h1"), "W2": ("h1", "h2"), "V2": ("h2", "h1"), "M1": ("h1", "h1"),
    "M2": ("h2", "h2"), "V2y": ("ctx", "h1"), "V3y": ("ctx", "h2"), "C2": ("h1", "out"),
    "C3": ("h2", "out"), "R1": ("h1", "rec"),
}  # fmt: skip
LATERAL = ("M1", "M2")
READ = ("C2", "C3", "R1")
GAIN, INHIBITION = 0.1, 0.01


class Network:
    """Weights and optimiser state; `train(images, shown, positive)` presents one batch of rows."""

    def __init__(self, sizes: dict[str, int], *, steps: int, eta: float, lam: float) -> None:
        import jax
        import jax.numpy as jnp

        rng = np.random.default_rng(0)
        self.sizes, self.steps = sizes, steps
        self.weights = {
            name: jnp.asarray(rng.uniform(-1, 1, (sizes[pre], sizes[post])), jnp.float32)
            for name, (pre, post) in PRE_POST.items()
        }
        self.moments = {
            name: (jnp.zeros_like(w), jnp.zeros_like(w)) for name, w in self.weights.items()
        }
        self.count = jnp.zeros((), jnp.float32)
        self.thresholds = {
            name: jnp.asarray(rng.uniform(0.03, 0.08, (1, sizes[name])), jnp.float32)
            for name in ("h1", "h2", "out", "rec")
        }
        self.key = jax.random.PRNGKey(0)
        self._run = jax.jit(
            partial(_presentation, jax, jnp, steps, eta, lam, self.thresholds),
            donate_argnums=(0, 1),
        )

    def train(self, images: Any, shown: Any, positive: Any) -> None:
        """One training presentation of (R, D) images, (R, C) labels and (R, 1) contrast bits."""
        import jax

        self.key, key = jax.random.split(self.key)
        state = self._run(self.weights, self.moments, self.count, key, images, shown, positive)
        self.weights, self.moments, self.count = state
        self.weights["W1"].block_until_ready()


def _presentation(
    jax: Any, jnp: Any, steps: int, eta: float, lam: float, thresholds: Any,
    weights: Any, moments: Any, count: Any, key: Any, images: Any, shown: Any, positive: Any,
) -> Any:  # fmt: skip
    rows = images.shape[0]
    cells = {
        name: (
            *(jnp.zeros((rows, t.shape[1]), jnp.float32) for _ in range(3)),
            jnp.broadcast_to(t, (rows, t.shape[1])),
        )
        for name, t in thresholds.items()
    }
    silent = {"img": jnp.zeros_like(images), "ctx": jnp.zeros_like(shown)}

    def step(t: Any, carry: Any) -> Any:
        weights, moments, count, cells, before = carry
        spikes = jax.random.uniform(jax.random.fold_in(key, t), images.shape) < images
        present = {"img": spikes.astype(jnp.float32), "ctx": shown}
        past = {**before, "h1": cells["h1"][2], "h2": cells["h2"][2]}
        cells = _advance(jnp, weights, cells, past)
        good = {k: _good(jax, jnp, cells[k][1], positive) for k in ("h1", "h2")}
        scale = 2 * positive / positive.sum()
        errors = {
            "out": (shown - cells["out"][1]) * scale,
            "rec": (present["img"] - cells["rec"][2]) * scale,
        }
        past["rec"] = cells["h1"][2]
        count = count + 1
        new, after = {}, {}
        for name, w in weights.items():
            change = _gradient(jnp, name, w, past, cells, good, errors)
            new[name], after[name] = _update(
                jnp, name, w, moments[name], change, count, eta, lam, past, cells
            )
        return new, after, count, cells, present

    carry = (weights, moments, count, cells, silent)
    weights, moments, count, _, _ = jax.lax.fori_loop(0, steps, step, carry)
    return weights, moments, count


def _advance(jnp: Any, w: Any, cells: Any, past: Any) -> Any:
    j1 = GAIN * (past["img"] @ w["W1"] + past["h2"] @ w["V2"] + past["ctx"] @ w["V2y"])
    j1 -= INHIBITION * (past["h1"] @ w["M1"])
    j2 = GAIN * (past["h1"] @ w["W2"] + past["ctx"] @ w["V3y"])
    j2 -= INHIBITION * (past["h2"] @ w["M2"])
    found = {
        "h1": _cell(jnp, cells["h1"], j1, 0.001),
        "h2": _cell(jnp, cells["h2"], j2, 0.001),
        "out": _cell(jnp, cells["out"], past["h1"] @ w["C2"] + past["h2"] @ w["C3"], 0.001),
    }
    found["rec"] = _cell(jnp, cells["rec"], found["h1"][2] @ w["R1"], 0.0)
    return found


def _cell(jnp: Any, cell: Any, current: Any, rho: float) -> Any:
    v, z, _, threshold = cell
    v = v + 0.03 * (current - v)
    s = (v > threshold).astype(jnp.float32)
    z = (10 / 13) * z * (1 - s) + s
    if rho:
        threshold = jnp.maximum(threshold + rho * (s.sum(1, keepdims=True) - 1), 0.025)
    return v * (1 - s), z, s, threshold


def _good(jax: Any, jnp: Any, z: Any, positive: Any) -> Any:
    a = (z * z).sum(1, keepdims=True) - 10
    return 2 * (jax.nn.sigmoid(a) - positive) / z.shape[0]


def _gradient(jnp: Any, name: str, w: Any, past: Any, cells: Any, good: Any, errors: Any) -> Any:
    pre, post = PRE_POST[name]
    if name in READ:
        sent = cells["h1"][2] if name == "R1" else past[pre]
        return sent.T @ (0.1 * errors[post]) * (1 - jnp.abs(w))
    kappa = INHIBITION if name in LATERAL else GAIN
    return -(past[pre].T @ (kappa * good[post] * cells[post][1]))


def _update(
    jnp: Any, name: str, w: Any, moments: Any, g: Any, n: Any, eta: float, lam: float,
    past: Any, cells: Any,
) -> Any:  # fmt: skip
    pre, post = PRE_POST[name]
    m = 0.9 * moments[0] + 0.1 * g
    v = 0.999 * moments[1] + 0.001 * g * g
    w = w + eta * (m / (1 - 0.9**n)) / (jnp.sqrt(v / (1 - 0.999**n)) + 1e-8)
    if name not in READ:
        w = w - lam * ((1 - past[pre]).T @ cells[post][2])
    if name in LATERAL:
        w = jnp.clip(w, 0, 1) * (1 - jnp.eye(w.shape[0], dtype=w.dtype))
    else:
        w = jnp.clip(w, -1, 1)
    return w, (m, v)
