"""What golden files of the HSIC rule and of what it is compared with have in common. Sheet hsic.md
sections 9 and 9.1.

Layers are counted from 0 in files and from 1 in specifications. The files' dW is the derivative of
what is descended; here dw is the change to be added, so it and the first moment have another sign.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from netdsl.tools.replay import Presentation, Trace
from tests.golden.case import Array, Derived, GoldenError, check_targets, one_hot, report_keys

RIDGE = 1e-6
File = Mapping[str, Array]
FLOAT64 = 1e-9  # what is asked for with a finer tolerance than this is float64
ZERO = 1e-14  # where a sum of numbers around 1 is 0
SHARES = {True: (1e-10, 1e-9), False: (1e-5, 1e-4)}  # of parameters, of everything else


def count(file: File) -> int:
    """Layers of weights."""
    return next(i for i in range(len(file) + 1) if f"W{i}" not in file)


def names(layers: int) -> tuple[str, ...]:
    """The populations behind the layers of weights."""
    return (*(f"h{k}" for k in range(1, layers)), "out")


def adamw_settings(hyper: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a specification that learns by AdamW."""
    if hyper["optimizer"] != "adamw":
        raise GoldenError(f"the specification learns by adamw, the file by {hyper['optimizer']}")
    return {
        "lr": hyper["learning_rate"],
        "beta1": hyper["b1"],
        "beta2": hyper["b2"],
        "eps": hyper["eps"],
        "decay": hyper["weight_decay"],
    }


def ridge_settings(hyper: Mapping[str, Any], spec: Path) -> dict[str, Any]:
    """The setting of what a layer norm adds to the variance, where a specification has one."""
    ridge = hyper["layernorm_eps"]
    if "param ridge" in spec.read_text():
        return {"ridge": ridge}
    if ridge != RIDGE:
        raise GoldenError(f"the specification's layer norm adds {RIDGE}, the file's {ridge}")
    return {}


def kernel_settings(hyper: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a specification that compares samples by kernels."""
    sx, sy, sz = hyper["sigmas_xyz"]
    return {"gamma": hyper["gamma"], "sx": sx, "sy": sy, "sz": sz}


def sizes(hyper: Mapping[str, Any], least: int, most: int) -> dict[str, Any]:
    """Settings of the sizes of hidden layers and of the classes."""
    hidden = hyper["features"]
    if not least <= len(hidden) <= most:
        raise GoldenError(f"the specification has {least} to {most} hidden layers")
    found: dict[str, Any] = {f"n{k}": size for k, size in enumerate(hidden, 1)}
    return found | {"classes": hyper["nclasses"]}


def layers(hyper: Mapping[str, Any]) -> dict[str, Any]:
    """The setting of how many dense layers there are."""
    return {"layers": len(hyper["features"]) + 1}


def steps(hyper: Mapping[str, Any]) -> str:
    """The time constant of a file, in steps of 1 ms as those of the specifications."""
    return f"{hyper['tau'] / hyper['dt']!r} ms"


def check_kernels(hyper: Mapping[str, Any]) -> None:
    """Raises GoldenError for other convolutions than those of the specifications."""
    for key, value in (("kernel_size", [3, 3]), ("stride", 1), ("padding", 1)):
        if hyper[key] != value:
            raise GoldenError(f"the specification has {key} {value}, the file {hyper[key]}")


def as_pairs(value: Array) -> Array:
    """A parameter as (pre, post): a kernel as its window times its outputs, a bias as a row."""
    value = np.asarray(value, np.float64)
    return value.reshape(-1, value.shape[-1])


def init(file: File) -> dict[str, Array]:
    """The weights and biases to begin with."""
    layers = range(count(file))
    return {f"{n}{i + 1}.w": as_pairs(file[f"{n}{i}"][0]) for i in layers for n in ("W", "b")}


def update(file: File, k: int, *, optimiser: str = "adamw") -> dict[str, Array]:
    """What update k leaves behind, as far as it is recorded."""
    found: dict[str, Array] = {}
    for i in range(count(file)):
        for n in ("W", "b"):
            name = f"{n}{i + 1}"
            found[f"{name}.w"] = as_pairs(file[f"{n}{i}"][k + 1])
            found[f"{name}.dw"] = -as_pairs(file[f"d{n}{i}"][k])
            if f"m{n}{i}" in file:
                found[f"{name}.{optimiser}.m"] = -as_pairs(file[f"m{n}{i}"][k])
                found[f"{name}.{optimiser}.v"] = as_pairs(file[f"v{n}{i}"][k])
    return found


def rows(value: Array) -> Array:
    """(rows, ...) to (rows, units)."""
    value = np.asarray(value, np.float64)
    return value.reshape(len(value), -1)


def sample(file: File, chosen: Array) -> dict[str, Array]:
    """The samples of a batch or window."""
    targets = np.asarray(file["Y"], np.float64)[chosen]
    labels = targets.argmax(-1)
    check_targets(targets, one_hot(labels, targets.shape[-1]))
    return {"image": rows(file["X"][chosen]), "label": labels}


def tolerances(trace: Trace, relative: float) -> dict[str, float]:
    """Per key, a share of the largest magnitude that any one presentation expects of it."""
    parameters, others = SHARES[relative < FLOAT64]
    least: dict[str, float] = {}
    for presentation in trace.presentations:
        for key, value in report_keys(presentation).items():
            top = float(np.abs(value).max(initial=0.0))
            if top > 0:
                least[key] = min(least.get(key, top), top)
            else:
                least.setdefault(key, np.inf)
    found = {key: top if np.isfinite(top) else 1.0 for key, top in least.items()}
    return {k: (parameters if k.endswith(".w") else others) * top for k, top in found.items()}


def shares(trace: Trace, relative: float) -> dict[str, float]:
    """Of the largest element of an update alone, for what is not a parameter."""
    found = {key for p in trace.presentations for key in report_keys(p) if not key.endswith(".w")}
    return dict.fromkeys(found, SHARES[relative < FLOAT64][1])


def loss(file: File, chosen: Iterable[Array], key: str, relative: float, steps: int = 0) -> Derived:
    """The mean cross-entropy of each batch or window, from the logits at `key`; `steps`: of each of
    the steps that a window is held for."""
    targets = iter([np.asarray(file["Y"], np.float64)[index] for index in chosen])

    def cross_entropy(logits: Array) -> Array:
        target = next(targets)
        logits = np.asarray(logits, np.float64).reshape(-1, *target.shape)
        shifted = logits - logits.max(-1, keepdims=True)
        found = np.log(np.exp(shifted).sum(-1)) - (shifted * target).sum(-1)
        return np.asarray(found.mean(-1) if steps else found.mean())

    values = np.asarray(file["loss"], np.float64)
    recorded = tuple(values.reshape(-1, steps) if steps else values)
    share = SHARES[relative < FLOAT64][1]
    return Derived("loss", (key,), cross_entropy, recorded, share * float(np.abs(values).max()))


def activities(file: File, k: int) -> dict[str, Array]:
    """The outputs of all layers before update k, (rows, units), by variable."""
    layers = enumerate(names(count(file)))
    return {f"{name}.z": rows(file[f"z{i}"][k]) for i, name in layers}


def learned(file: File, chosen: Array, k: int, **seen: Mapping[str, Array]) -> Presentation:
    """Update k, from the samples `chosen`: what is `seen`, then gradients, moments and weights."""
    found = update(file, k)
    return Presentation(sample=sample(file, chosen), update=found, name=f"update {k}", **seen)


def in_step(file: File, k: int) -> dict[str, Array]:
    """The outputs of all layers in the one step of update k, which learns at its end."""
    return {key: value[None] for key, value in activities(file, k).items()}
