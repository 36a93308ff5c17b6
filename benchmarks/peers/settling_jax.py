"""CorInfoMax in JAX, one hidden layer: specs/corinfomax.net as one compiled batch.

The equations are those of the specification.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

FORGET, EPS, LEAK = 0.99999, 0.15, 0.5
GAMMA = (1 - FORGET) / FORGET
FREE_STEPS, NUDGED_STEPS = 30, 10
RATES = (1.0, 0.7, 0.15)


class CorInfoMax:
    """`train(x, y)` settles freely and nudged, and updates; x (N, n0), y (N, n2)."""

    def __init__(self, sizes: tuple[int, int, int]) -> None:
        import jax
        import jax.numpy as jnp

        rng = np.random.default_rng(0)
        n0, n1, n2 = sizes

        def uniform(*shape: int) -> Any:
            limit = float(np.sqrt(6 / sum(shape)))
            return jnp.asarray(rng.uniform(-limit, limit, shape), jnp.float32)

        forward = uniform(n0, n1), uniform(n1, n2), uniform(n2, n1)
        a1, a2 = uniform(n1, n1), uniform(n2, n2)
        self.weights = (*forward, a1 @ a1.T, a2 @ a2.T)
        self._run = jax.jit(partial(_batch, jax, jnp), donate_argnums=0)

    def train(self, x: Any, y: Any) -> None:
        """One batch."""
        self.weights = self._run(self.weights, x, y)
        self.weights[0].block_until_ready()


def _settle(jax: Any, jnp: Any, weights: Any, x: Any, y: Any, rates: Any, steps: int, beta: float
            ) -> Any:
    f1, f2, b2, l1, l2 = weights
    ff1 = x @ f1

    def step(t: Any, carry: Any) -> Any:
        u1, u2, r1, r2 = carry
        eta = jnp.maximum(0.05 / (1 + 0.01 * t), 0.001)
        drive = (ff1 + r2 @ b2 - 2 * u1) / EPS
        u1 = u1 + eta * (drive + 2 * GAMMA * (r1 @ l1) + LEAK * (r1 - u1))
        r1 = jnp.clip(u1, 0, 1)
        drive = (r1 @ f2 - u2) / EPS - u2 - beta * (r2 - y)
        u2 = u2 + eta * (drive + GAMMA * (r2 @ l2) + LEAK * (r2 - u2))
        return u1, u2, r1, jnp.clip(u2, 0, 1)

    return jax.lax.fori_loop(0, steps, step, (*rates, *rates))[2:]


def _batch(jax: Any, jnp: Any, weights: Any, x: Any, y: Any) -> Any:
    f1, f2, b2, l1, l2 = weights
    n = x.shape[0]
    silent = (jnp.zeros((n, f1.shape[1])), jnp.zeros((n, f2.shape[1])))
    free = _settle(jax, jnp, weights, x, y, silent, FREE_STEPS, 0.0)
    nudged = _settle(jax, jnp, weights, x, y, free, NUDGED_STEPS, 1.0)
    change = [jnp.zeros_like(w) for w in (f1, f2, b2)]
    for sign, (r1, r2) in ((-1.0, free), (1.0, nudged)):
        change[0] += sign * (x.T @ (r1 - x @ f1))
        change[1] += sign * (r1.T @ (r2 - r1 @ f2))
        change[2] += sign * (r2.T @ (r1 - r2 @ b2))
    new = [w + rate / n * c for w, rate, c in zip((f1, f2, b2), RATES, change, strict=True)]
    for lateral, r in zip((l1, l2), nudged, strict=True):
        z = r @ lateral
        new.append((lateral - GAMMA / n * (z.T @ z)) / FORGET)
    return tuple(new)
