"""MDGL, e-prop and BPTT in JAX: one compiled scan over a trial and its reverse.

The equations are those of specs/mdgl.net. The gradient of e-prop is reverse mode with the recurrent
spike detached; that of MDGL is the same reverse with the modulators of the neighbours added to
what arrives at each spike. Nothing is stored per synapse. `stored` is the form with eligibility
traces kept for every step, for sizes at which they fit.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np

DECAY_V, DECAY_A = float(np.exp(-1 / 20)), float(np.exp(-1 / 2000))
BETA, THRESHOLD, DAMP, SILENT = 1.8, 0.01, 0.3, 5
RATE, L1, CONNECTED, REOPENED = 0.0025, 0.01, 0.1, 1e-12
GROUPS = 10  # channels of each of left, right, recall and noise


class Sizes(NamedTuple):
    """Trials, steps, inputs, units (half of them adaptive) and classes."""

    rows: int = 64
    steps: int = 2000
    inputs: int = 40
    units: int = 100
    classes: int = 2


class Network:
    """Magnitudes, signs and Adam's moments; `train()` draws a batch and learns from it."""

    def __init__(self, rule: str, sizes: Sizes | None = None, seed: int = 0) -> None:
        import jax

        self.sizes = sizes or Sizes()
        rng = np.random.default_rng(seed)
        s = self.sizes
        signs = {
            "in": rng.permutation(_signs(s.inputs, -1)),
            "rec": _signs(s.units, 1),
            "out": _signs(s.units, 1),
        }
        shapes = {"in": s.units, "rec": s.units, "out": s.classes}
        masks = {k: _mask(rng, len(signs[k]), n) for k, n in shapes.items()}
        start = {k: _balanced(rng, signs[k], n) * masks[k] for k, n in shapes.items()}
        start["bias"] = np.zeros(s.classes)
        self.weights = {k: jax.numpy.asarray(v, np.float32) for k, v in start.items()}
        self.moments = {k: (0 * v, 0 * v) for k, v in self.weights.items()}
        self.count, self.key = 0, jax.random.PRNGKey(seed)
        fixed = {k: signs[k][:, None].astype(np.float32) for k in signs}
        run = partial(_iteration, rule, s, fixed, masks)
        self._run = jax.jit(run, donate_argnums=(0, 1))

    def train(self) -> float:
        """One iteration: trials, forward, gradient, Adam and rewiring; returns the loss."""
        import jax

        self.key, key = jax.random.split(self.key)
        self.count += 1
        self.weights, self.moments, loss = self._run(self.weights, self.moments, self.count, key)
        return float(loss)


def _signs(n: int, first: int) -> Any:
    inhibitory = n - int(0.8 * n) - 1
    found = np.ones(n)
    found[slice(0, inhibitory) if first > 0 else slice(n - inhibitory, n)] = -1
    return found


def _mask(rng: Any, pre: int, post: int) -> Any:
    drawn = rng.integers(0, pre * post, int(pre * post * CONNECTED))
    return np.isin(np.arange(pre * post), drawn).reshape(pre, post)


def _balanced(rng: Any, signs: Any, columns: int) -> Any:
    """Dale's law, columns that sum to 0, spectral radius 1; magnitudes."""
    n = len(signs)
    w = np.abs(rng.normal(size=(n, n))) * signs[:, None]
    up, down = signs > 0, signs < 0
    w[down] *= w[up].sum() / -w[down].sum()
    for column in range(n):
        total = w[:, column].sum()
        side = up if total < 0 else down
        w[side, column] -= total / side.sum()
    w /= np.abs(np.linalg.eigvals(w)).max()
    chosen = rng.integers(0, n, columns) if columns > n else np.arange(columns)
    return np.abs(w[:, chosen])


def _iteration(
    rule: str, s: Sizes, signs: Any, masks: Any, weights: Any, moments: Any, count: Any, key: Any
) -> Any:
    import jax

    inputs, reopened = jax.random.split(key)
    x, label = _trials(s, inputs)
    effective = {k: signs[k] * weights[k] * (weights[k] > 0) for k in signs}
    effective["rec"] *= 1 - np.eye(s.units, dtype=np.float32)
    loss, change = _gradient(rule, s, effective, weights["bias"], x, label)
    gradient = {k: signs[k] * change[k] for k in signs} | {"bias": change["bias"]}
    weights, moments = _adam(weights, moments, gradient, count)
    return _rewired(reopened, masks, weights), moments, loss


def _trials(s: Sizes, key: Any) -> Any:
    """(T, B, inputs) counts of spikes and the (B,) answers of accumulating cues."""
    import jax
    import jax.numpy as jnp

    which, noise = jax.random.split(key)
    pattern = jax.random.permutation(which, 128)[: s.rows]
    t = jnp.arange(s.steps)
    cue = jnp.clip(6 - t // 150, 0, 6)
    left = (pattern[None, :] >> cue[:, None]) & 1  # (T, B)
    shown = ((t < 1050) & (t % 150 < 100))[:, None]
    recall = jnp.broadcast_to((t >= s.steps - 150)[:, None], left.shape)
    groups = [shown & (left == 1), shown & (left == 0), recall]
    mean = jnp.stack([0.04 * g for g in groups] + [jnp.full(left.shape, 0.01)], -1)
    mean = jnp.repeat(mean, GROUPS, axis=-1)
    drawn = jax.random.uniform(noise, mean.shape)
    below = jnp.exp(-mean)  # of a Poisson count: none, one, two or more
    counts = (drawn >= below).astype(jnp.float32) + (drawn >= below * (1 + mean))
    label = (jax.lax.population_count(pattern) > 3).astype(jnp.int32)
    return counts, label


def _gradient(rule: str, s: Sizes, w: Any, bias: Any, x: Any, label: Any) -> Any:
    import jax
    import jax.numpy as jnp

    beta = jnp.where(jnp.arange(s.units) < s.units // 2, 0.0, BETA)
    spiking = _spike(jax, jnp)

    def run(w_in: Any, w_rec: Any, detached: bool) -> Any:
        current = (1 - DECAY_V) * (x.reshape(-1, s.inputs) @ w_in).reshape(s.steps, s.rows, -1)

        def step(carry: Any, arriving: Any) -> Any:
            v, b, z, since = carry
            sent = jax.lax.stop_gradient(z) if detached else z
            b = DECAY_A * b + (1 - DECAY_A) * z
            v = DECAY_V * v + arriving + (1 - DECAY_V) * (sent @ w_rec) - THRESHOLD * z
            u = (v - THRESHOLD - beta * b) / THRESHOLD
            active = since >= SILENT
            spike = jnp.where(active, spiking(u), 0.0)
            since = jnp.where(jax.lax.stop_gradient(spike) > 0, 0, since + 1)
            slope = jnp.where(active, DAMP / THRESHOLD * jnp.maximum(0, 1 - jnp.abs(u)), 0.0)
            return (v, b, spike, since), (spike, jax.lax.stop_gradient(slope))

        zero = jnp.zeros((s.rows, s.units))
        start = (zero, zero, zero, jnp.full(zero.shape, SILENT, jnp.int32))
        return jax.lax.scan(step, start, current)[1]

    if rule == "stored":
        return _stored(s, w, bias, x, label, run(w["in"], w["rec"], False), beta)
    back = DECAY_V ** jnp.arange(s.steps - 1, -1, -1) * (1 - DECAY_V)  # of a spike in the readout
    (z, slope), pull = jax.vjp(partial(run, detached=rule != "bptt"), w["in"], w["rec"])
    filtered = jnp.tensordot(back, z, 1)
    logits = filtered @ w["out"] + bias
    error = (jax.nn.softmax(logits) - jax.nn.one_hot(label, s.classes)) / s.rows
    loss = -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(s.rows), label])
    signal = back[:, None, None] * (error @ w["out"].T)
    if rule == "mdgl":
        means = _blocks(jnp, s, w["rec"])
        sent = (signal * slope)[1:] @ (means * (w["rec"] != 0)).T
        signal = signal.at[:-1].add((1 - DECAY_V) * sent)
    found = pull((signal, jnp.zeros_like(slope)))
    both = {"in": found[0], "rec": found[1], "out": filtered.T @ error, "bias": error.sum(0)}
    return loss, both


def _stored(
    s: Sizes, w: Any, bias: Any, x: Any, label: Any, spikes: Any, beta: Any
) -> tuple[Any, Any]:
    """E-prop with the eligibility trace of every synapse kept for every step: (T, B, pre, post)."""
    import jax
    import jax.numpy as jnp

    z, slope = spikes
    earlier = jnp.concatenate([jnp.zeros_like(z[:1]), z[:-1]])
    sent = {"in": x, "rec": earlier}
    back = DECAY_V ** jnp.arange(s.steps - 1, -1, -1) * (1 - DECAY_V)
    filtered = jnp.tensordot(back, z, 1)
    logits = filtered @ w["out"] + bias
    error = (jax.nn.softmax(logits) - jax.nn.one_hot(label, s.classes)) / s.rows
    loss = -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(s.rows), label])
    signal = back[:, None, None] * (error @ w["out"].T)

    def trace(carry: Any, now: Any) -> Any:
        of_v, of_b, before = carry
        slope, sent = now
        b = DECAY_A * of_b + (1 - DECAY_A) * before
        v = DECAY_V * of_v + (1 - DECAY_V) * sent[:, :, None] - THRESHOLD * before
        e = slope[:, None, :] * (v - beta * b)
        return (v, b, e), e

    both = {"out": filtered.T @ error, "bias": error.sum(0)}
    for name, pre in sent.items():
        zero = jnp.zeros((s.rows, pre.shape[2], s.units))
        kept = jax.lax.scan(trace, (zero, zero, zero), (slope, pre))[1]
        both[name] = jnp.einsum("tbp,tbqp->qp", signal, kept)
    return loss, both


def _spike(jax: Any, jnp: Any) -> Any:
    @jax.custom_jvp
    def spike(u: Any) -> Any:
        return (u > 0).astype(u.dtype)

    @spike.defjvp
    def _(primals: Any, tangents: Any) -> Any:
        (u,), (du,) = primals, tangents
        return spike(u), DAMP * jnp.maximum(0, 1 - jnp.abs(u)) * du

    return spike


def _blocks(jnp: Any, s: Sizes, w: Any) -> Any:
    """For each pair of units the mean weight of the synapses between their types."""
    inhibitory = s.units - int(0.8 * s.units) - 1
    types = jnp.stack([jnp.arange(s.units) < inhibitory, jnp.arange(s.units) >= inhibitory]) * 1.0
    number = jnp.maximum(types @ (w != 0) @ types.T, 1)
    return types.T @ ((types @ w @ types.T) / number) @ types


def _adam(weights: Any, moments: Any, gradient: Any, count: Any) -> Any:
    import jax.numpy as jnp

    rate = RATE * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
    new, after = {}, {}
    for name, w in weights.items():
        g, (m, v) = gradient[name], moments[name]
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        changed = w - rate * m / (jnp.sqrt(v) + 1e-8)
        if name != "bias":
            changed = jnp.where(w <= 0, 0, changed)
            changed = jnp.where(changed > 0, changed - RATE * L1, changed)
        new[name], after[name] = changed, (m, v)
    return new, after


def _rewired(key: Any, masks: Any, weights: Any) -> Any:
    """Reopen dead synapses of the first graph, up to the common budget."""
    import jax
    import jax.numpy as jnp

    sizes = np.array([masks[k].size for k in masks])
    present = sum(jnp.sum(weights[k] > 0) for k in masks)
    missing = jnp.maximum(0, int(CONNECTED * sizes.sum()) - present)
    split, *keys = jax.random.split(key, 1 + len(sizes))
    which = jax.random.choice(split, len(sizes), (sizes.sum(),), p=sizes / sizes.sum())
    drawn = jnp.arange(sizes.sum()) < missing
    for number, (name, own) in enumerate(zip(masks, keys, strict=True)):
        share = jnp.sum(drawn & (which == number))
        open_ = (weights[name] <= 0) & masks[name]
        order = jnp.where(open_, jax.random.uniform(own, open_.shape), 2.0)
        place = jnp.argsort(jnp.argsort(order.reshape(-1))).reshape(open_.shape)
        weights[name] = jnp.where(open_ & (place < share), REOPENED, weights[name])
    return weights
