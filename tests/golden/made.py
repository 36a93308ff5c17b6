"""Small recordings of back-propagation and feedback alignment, written straight from the sheet.

Plain NumPy in float64 that shares nothing with the compiler; any depth, batch size, loss and
Adam's constants. Sheet corinfomax.md sections 7 and 12.1.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Arrays = dict[str, Array]
EVALUATED = 6


def sweeping(seed: int, architecture: list[int], batches: int = 3, **other: Any) -> Arrays:
    """A recording with the layout of section 12.1; `other` replaces entries of `hyper`."""
    hyper: dict[str, Any] = {
        "algorithm": "bp", "loss": "mse", "architecture": architecture, "batch": 4,
        "n_batches": batches, "seed": seed, "activation": "relu", "final_layer_activation": False,
        "optimizer": "adam", "adam": {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8}, "lr": 0.01,
        "lr_decay": 0.9, "lr_decay_step": 1, "batches_per_epoch": 2, "dtype": "float64",
    } | other  # fmt: skip
    random = np.random.default_rng(seed)
    file = _drawn(random, hyper)
    net = {key.removesuffix("_init"): value for key, value in file.items()}
    moments: Arrays = {}
    taken = [_batch(file, hyper, net, moments, b) for b in range(batches)]
    file |= {key: np.array([batch[key] for batch in taken]) for key in taken[0]}
    file["eval_out"] = _forward(file["eval_X"], net, hyper)[1][-1]
    file["eval_pred"] = file["eval_out"].argmax(1)
    file["hyper"] = np.array(json.dumps(hyper))
    return file


def _drawn(random: np.random.Generator, hyper: dict[str, Any]) -> Arrays:
    sizes = hyper["architecture"]
    file: Arrays = {}
    for k in range(1, len(sizes)):
        bound = sizes[k - 1] ** -0.5
        file[f"W{k}_init"] = random.uniform(-bound, bound, (sizes[k], sizes[k - 1]))
        file[f"b{k}_init"] = random.uniform(-bound, bound, sizes[k])
        if hyper["algorithm"] == "fa":
            file[f"C{k}"] = random.uniform(-0.5, 0.5, (sizes[k], sizes[k - 1]))
    shape = (hyper["n_batches"], hyper["batch"])
    file["X"] = random.random((*shape, sizes[0]))
    file["labels"] = random.integers(0, sizes[-1], shape)
    file["Y"] = np.eye(sizes[-1])[file["labels"]]
    file["eval_X"] = random.random((EVALUATED, sizes[0]))
    return file


def _forward(x: Array, net: Arrays, hyper: dict[str, Any]) -> tuple[list[Array], list[Array]]:
    """Pre-activations and activations of the layers 0 to L."""
    layers = len(hyper["architecture"]) - 1
    z, a = [x], [x]
    for k in range(1, layers + 1):
        z.append(a[-1] @ net[f"W{k}"].T + net[f"b{k}"])
        linear = k == layers and not hyper["final_layer_activation"]
        a.append(z[-1] if linear else np.maximum(z[-1], 0))
    return z, a


def _loss(out: Array, y: Array, loss: str) -> tuple[Array, Array]:
    """The loss of a batch and its derivative by the output."""
    if loss == "mse":
        return np.asarray(((out - y) ** 2).mean()), 2 * (out - y) / y.size
    grown = np.exp(out - out.max(1, keepdims=True))
    p = grown / grown.sum(1, keepdims=True)
    return np.asarray(-np.log((p * y).sum(1)).mean()), (p - y) / len(y)


def _batch(file: Arrays, hyper: dict[str, Any], net: Arrays, moments: Arrays, b: int) -> Arrays:
    """One batch: what it records; `net` and `moments` are moved on."""
    layers = len(hyper["architecture"]) - 1
    z, a = _forward(file["X"][b], net, hyper)
    loss, delta = _loss(a[-1], file["Y"][b], hyper["loss"])
    if hyper["final_layer_activation"]:
        delta = delta * (z[-1] > 0)
    falls = b // hyper["batches_per_epoch"] // hyper["lr_decay_step"]
    rate = hyper["lr"] * hyper["lr_decay"] ** falls
    found: Arrays = {"loss": loss, "lr": np.asarray(rate)}
    changes: Arrays = {}
    for k in range(layers, 0, -1):
        found |= {f"z{k}": z[k], f"a{k}": a[k], f"delta{k}": delta}
        changes |= {f"W{k}": delta.T @ a[k - 1], f"b{k}": delta.sum(0)}
        back = net[f"C{k}" if hyper["algorithm"] == "fa" else f"W{k}"]
        delta = (z[k - 1] > 0) * (delta @ back)
    for name, change in changes.items():
        found[f"d{name}"] = change
        net[name] = net[name] - rate * _adam(name, change, hyper["adam"], moments, b + 1)
        found[f"{name}_after"] = net[name]
        found |= {f"{m}_{name}_after": moments[f"{m}_{name}"] for m in ("m", "v")}
    return found


def _adam(name: str, g: Array, adam: dict[str, float], moments: Arrays, t: int) -> Array:
    """The step of Adam, with eps added to the corrected root."""
    first, second = adam["beta1"], adam["beta2"]
    m = first * moments.get(f"m_{name}", np.zeros_like(g)) + (1 - first) * g
    v = second * moments.get(f"v_{name}", np.zeros_like(g)) + (1 - second) * g * g
    moments |= {f"m_{name}": m, f"v_{name}": v}
    return np.asarray((m / (1 - first**t)) / (np.sqrt(v / (1 - second**t)) + adam["eps"]))
