"""The HSIC rule in JAX: one compiled step for each window of the last samples.

The equations are those of specs/hsic.net and its kin: the samples in memory are evaluated again
under the present weights, the newest alone teaches the hidden layers, all teach the readout. The
metrics of a window are taken after its step, as there. Convolutional maps are (row, column,
channel); their layer norm is over channels, their kernels over whole maps.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np

B1, B2, EPS, DECAY = 0.9, 0.99, 1e-8, 1e-4
Params = dict[str, Any]


class Setting(NamedTuple):
    """Samples in memory, widths of kernels, weight of labels, rate; steps and dt/tau of a trial."""

    memory: int
    gamma: float
    widths: tuple[float, float, float]
    rate: float
    steps: int = 1
    leak: float = 1.0


MLP = Setting(6, 2.0, (0.5, 0.1, 1.0), 1e-4)
LIF = Setting(10, 10.0, (0.3, 0.25, 2.0), 1e-4, 20, 0.2)
CNN = Setting(6, 50.0, (1.0, 0.1, 0.5), 5e-5)
RESERVOIR = Setting(10, 2.0, (0.5, 0.5, 0.5), 5e-4, 20, 0.2)


def _kernel(a: Any, width: float, newest: bool = False) -> Any:
    """Of rows with rows, or of the last row with all."""
    import jax.numpy as jnp

    a = a.reshape(a.shape[0], -1)
    first = a[-1:] if newest else a
    apart = jnp.mean((first[:, None] - a[None]) ** 2, axis=-1)
    return jnp.exp(-apart / (2 * width**2))


def _weights(x: Any, y: Any, s: Setting) -> Any:
    """How far each sample is from the others, by its input and by its label."""
    apart = 1 - _kernel(x, s.widths[0]).mean(1)
    return apart - s.gamma * (1 - _kernel(y, s.widths[1]).mean(1))


def _signal(z: Any, w: Any, s: Setting) -> Any:
    """Where the activity of the newest sample should go, in the shape of `z` for one sample."""
    import jax.numpy as jnp

    n, size = s.memory, z[0].size
    near = (w + w[-1]) * _kernel(z, s.widths[2], newest=True)[0]
    return jnp.tensordot(near, z[-1] - z, 1) * 2 / (s.widths[2] ** 2 * size * n * (n - 1) ** 2)


def _norm(r: Any) -> tuple[Any, Any]:
    """Layer norm over the last axis, and its factor."""
    import jax.numpy as jnp
    from jax import lax

    mean = r.mean(-1, keepdims=True)
    k = lax.rsqrt(jnp.maximum((r * r).mean(-1, keepdims=True) - mean * mean, 0) + 1e-6)
    return (r - mean) * k, k


def _through(signal: Any, j: Any, z: Any, k: Any) -> Any:
    """A signal through layer norm and relu, for one sample."""
    centred = signal - signal.mean(-1, keepdims=True)
    return (j > 0) * k * (centred - z * (z * signal).mean(-1, keepdims=True))


def _adamw(params: Params, moments: Any, slopes: Params, count: Any, rate: float) -> Any:
    import jax.numpy as jnp

    changed, new = {}, {}
    for name, slope in slopes.items():
        m, v = moments[name]
        m, v = B1 * m + (1 - B1) * slope, B2 * v + (1 - B2) * slope**2
        step = m / (1 - B1**count) / (jnp.sqrt(v / (1 - B2**count)) + EPS)
        changed[name] = params[name] - rate * (step + DECAY * params[name])
        new[name] = (m, v)
    return changed, new


def _slopes(name: str, pre: Any, g: Any) -> Params:
    """Of a layer with bias, summed over the rows given."""
    return {f"W{name}": pre.T @ g, f"b{name}": g.sum(0)}


def _metrics(logits: Any, label: Any) -> tuple[Any, Any]:
    import jax
    import jax.numpy as jnp

    loss = -jnp.take_along_axis(jax.nn.log_softmax(logits), label[:, None], 1).mean()
    return loss, (logits.argmax(1) == label).mean()


def _dense(params: Params, x: Any, hidden: int) -> tuple[list[Any], list[Any], list[Any]]:
    """Inputs, activities and factors of the layers; the last is linear."""
    js, zs, ks = [], [x], []
    for layer in range(hidden):
        j = zs[-1] @ params[f"W{layer}"] + params[f"b{layer}"]
        z, k = _norm((j > 0) * j)
        js, zs, ks = [*js, j], [*zs, z], [*ks, k]
    return [*js, zs[-1] @ params[f"W{hidden}"] + params[f"b{hidden}"]], zs, ks


def _mlp_step(s: Setting, params: Params, moments: Any, count: Any, x: Any, label: Any) -> Any:
    import jax

    hidden = len(params) // 2 - 1
    y = jax.nn.one_hot(label, params[f"b{hidden}"].shape[0])
    js, zs, ks = _dense(params, x, hidden)
    w, slopes = _weights(x, y, s), {}
    for layer in range(hidden):
        g = _through(_signal(zs[layer + 1], w, s), js[layer][-1], zs[layer + 1][-1], ks[layer][-1])
        slopes |= _slopes(str(layer), zs[layer][-1:], g[None])
    slopes |= _slopes(str(hidden), zs[-1], (jax.nn.softmax(js[-1]) - y) / s.memory)
    params, moments = _adamw(params, moments, slopes, count, s.rate)
    return params, moments, _metrics(_dense(params, x, hidden)[0][-1], label)


def _lif_pass(s: Setting, params: Params, us: Any, x: Any) -> Any:
    """One step of all layers: potentials, activities, factors."""
    after, zs, ks = [], [x], []
    for layer, u in enumerate(us):
        u = u + s.leak * (zs[-1] @ params[f"W{layer}"] + params[f"b{layer}"] - u)
        after.append(u)
        if layer + 1 < len(us):
            z, k = _norm((u > 0) * u)
            zs, ks = [*zs, z], [*ks, k]
    return tuple(after), zs, ks


def _lif_window(s: Setting, state: Any, x: Any, label: Any) -> Any:
    """A trial in which every step teaches."""
    import jax
    from jax import lax

    y = jax.nn.one_hot(label, 2)
    w = _weights(x, y, s)

    def step(state: Any, _: None) -> Any:
        params, moments, us, count = state
        us, zs, ks = _lif_pass(s, params, us, x)
        slopes = {}
        for layer in range(len(us) - 1):
            z = zs[layer + 1]
            g = s.leak * _through(_signal(z, w, s), us[layer][-1], z[-1], ks[layer][-1])
            slopes |= _slopes(str(layer), zs[layer][-1:], g[None])
        error = s.leak * (jax.nn.softmax(us[-1]) - y) / s.memory
        slopes |= _slopes(str(len(us) - 1), zs[-1], error)
        params, moments = _adamw(params, moments, slopes, count + 1, s.rate)
        return (params, moments, us, count + 1), us[-1]

    state, logits = lax.scan(step, state, None, length=s.steps)
    return state, _metrics(logits[s.steps // 2 :].mean(0), label)


def _conv(x: Any, weight: Any) -> Any:
    from jax import lax

    return lax.conv_general_dilated(
        x, weight, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _cnn_pass(params: Params, x: Any) -> Any:
    js, zs, ks, pre = [], [], [], [x]
    for layer in range(2):
        j = _conv(pre[-1], params[f"W{layer}"]) + params[f"b{layer}"]
        z, k = _norm((j > 0) * j)
        n, h, w, c = z.shape
        pooled = z.reshape(n, h // 2, 2, w // 2, 2, c).mean((2, 4))
        js, zs, ks, pre = [*js, j], [*zs, z], [*ks, k], [*pre, pooled]
    flat = pre[-1].reshape(x.shape[0], -1)
    return js, zs, ks, [*pre[:-1], flat], flat @ params["W2"] + params["b2"]


def _cnn_step(s: Setting, params: Params, moments: Any, count: Any, x: Any, label: Any) -> Any:
    import jax

    y = jax.nn.one_hot(label, 10)
    js, zs, ks, pre, logits = _cnn_pass(params, x)
    w, slopes = _weights(x, y, s), {}
    for layer in range(2):
        z = zs[layer]
        g = _through(_signal(z, w, s), js[layer][-1], z[-1], ks[layer][-1])[None]
        convolve = partial(_conv, pre[layer][-1:])
        (slopes[f"W{layer}"],) = jax.vjp(convolve, params[f"W{layer}"])[1](g)
        slopes[f"b{layer}"] = g.sum((0, 1, 2))
    slopes |= _slopes("2", pre[-1], (jax.nn.softmax(logits) - y) / s.memory)
    params, moments = _adamw(params, moments, slopes, count, s.rate)
    return params, moments, _metrics(_cnn_pass(params, x)[-1], label)


def _reservoir_window(s: Setting, fixed: Params, state: Any, x: Any, label: Any, z: Any) -> Any:
    """A trial of the reservoir: its readout learns the signal of the window at every step."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    y = jax.nn.one_hot(label, 10)
    target = _signal(z, _weights(x, y, s), s)
    sent = jnp.concatenate([x[-1], y[-1], z[-1]]) @ fixed["in"]

    def step(state: Any, _: None) -> Any:
        u, out = state
        r = jnp.tanh(u)
        o = r @ out
        error = o - target
        u = u + s.leak * (1.2 * (r @ fixed["rec"]) + sent + o @ fixed["back"] - u)
        return (u, out - s.rate * jnp.outer(r, error)), (error**2).mean()

    state, losses = lax.scan(step, state, None, length=s.steps)
    return state, losses.mean()


# ---- what is measured ----------------------------------------------------------------------------


def _start(rng: Any, shapes: list[tuple[int, ...]], members: int = 0) -> Params:
    """Weights of variance 1/fan_in, biases 0; of several networks in front."""
    front = (members,) if members else ()
    params: Params = {}
    for layer, shape in enumerate(shapes):
        scale = 1 / np.sqrt(np.prod(shape[:-1]))
        params[f"W{layer}"] = (rng.standard_normal((*front, *shape)) * scale).astype(np.float32)
        params[f"b{layer}"] = np.zeros((*front, shape[-1]), np.float32)
    return params


class Task:
    """A stream of samples and a compiled step; `window()` learns from the next window."""

    def __init__(self, name: str, seed: int = 0) -> None:
        import jax

        self.rng = np.random.default_rng(seed)
        self.step = getattr(self, f"_{name}")()
        self.at, self.jax = 0, jax

    def window(self) -> None:
        """One step on the next window, and its metrics on the host."""
        n = len(self.label) - self.setting.memory + 1
        rows = slice(self.at % n, self.at % n + self.setting.memory)
        self.at += 1
        self.state, found = self.step(self.state, self.x[rows], self.label[rows], *self._more(rows))
        self.jax.block_until_ready(found)

    def _more(self, rows: slice) -> tuple[Any, ...]:
        return (self.z[rows],) if self.setting is RESERVOIR else ()

    def _samples(self, setting: Setting, shape: tuple[int, ...], classes: int, z: int = 0) -> None:
        self.setting = setting
        self.x = self.rng.uniform(-1, 1, (1000, *shape)).astype(np.float32)
        self.label = self.rng.integers(0, classes, 1000)
        self.z = self.rng.random((1000, z)).astype(np.float32)

    def _learning(self, step: Any, shapes: list[tuple[int, ...]]) -> Any:
        import jax

        params = _start(self.rng, shapes)
        self.state = (params, {k: (0 * v, 0 * v) for k, v in params.items()}, np.float32(0))

        def run(state: Any, x: Any, label: Any) -> Any:
            params, moments, found = step(self.setting, *state[:2], state[2] + 1, x, label)
            return (params, moments, state[2] + 1), found

        return jax.jit(run, donate_argnums=0)

    def _mlp(self) -> Any:
        self._samples(MLP, (784,), 10)
        return self._learning(_mlp_step, [(784, 128), (128, 64), (64, 10)])

    def _cnn(self) -> Any:
        self._samples(CNN, (32, 32, 3), 10)
        return self._learning(_cnn_step, [(3, 3, 3, 128), (3, 3, 128, 256), (64 * 256, 10)])

    def _lif(self, members: int = 0) -> Any:
        import jax

        self._samples(LIF, (2,), 2)
        front, rows = (members,) if members else (), LIF.memory
        params = _start(self.rng, [(2, 10), (10, 4), (4, 2)], members)
        moments = {k: (0 * v, 0 * v) for k, v in params.items()}
        us = tuple(np.zeros((*front, rows, n), np.float32) for n in (10, 4, 2))
        self.state = (params, moments, us, np.zeros(front, np.float32))
        window = partial(_lif_window, LIF)
        if members:
            window = jax.vmap(window, in_axes=(0, None, None))
        return jax.jit(window, donate_argnums=0)

    def _xor(self) -> Any:
        return self._lif(30)

    def _reservoir(self) -> Any:
        import jax

        n = 2000
        self._samples(RESERVOIR, (784,), 10, z=10)
        mask = self.rng.random((n, n)) < 0.9
        fixed = {
            "in": self.rng.uniform(-1, 1, (804, n)).astype(np.float32),
            "back": self.rng.uniform(-1, 1, (10, n)).astype(np.float32),
            "rec": (self.rng.standard_normal((n, n)) / np.sqrt(0.1 * n) * mask).astype(np.float32),
        }
        self.state = (np.zeros(n, np.float32), np.zeros((n, 10), np.float32))
        held = {k: jax.numpy.asarray(v) for k, v in fixed.items()}
        window = jax.jit(partial(_reservoir_window, RESERVOIR), donate_argnums=1)
        return partial(window, held)
