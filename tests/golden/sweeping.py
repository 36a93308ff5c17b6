"""Golden files of back-propagation and feedback alignment. Sheet corinfomax.md sections 7 and 12.1.

The files' dW is the derivative of the loss; here dw is the change to be added, so it and the first
moment have the other sign. Deltas of feedback alignment are those of one sample: times N here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from netdsl.tools.replay import Presentation, Trace
from tests.golden.case import (
    SPECS,
    Array,
    Case,
    Derived,
    GoldenError,
    adam_settings,
    check_targets,
    layer_names,
    layer_settings,
    one_hot,
    relative_tolerances,
)


def case(file: Mapping[str, Array], hyper: dict[str, Any], relative: float) -> Case:
    """One sweep a batch, up and down."""
    if hyper["optimizer"] != "adam":
        raise GoldenError(f"the specification learns by Adam, the file by {hyper['optimizer']}")
    names = layer_names(len(hyper["architecture"]) - 1)
    settings = layer_settings(hyper["architecture"]) | {
        "objective": hyper["loss"],
        "B": hyper["batch"],
        "rate": hyper["lr"],
        "d": hyper["lr_decay"],
        "hold": hyper["lr_decay_step"],
        "rectify": bool(hyper["final_layer_activation"]),
    }
    settings |= adam_settings(**hyper["adam"])
    trace = Trace(
        _init(file, names),
        (*(_batch(file, hyper, names, b) for b in range(len(file["X"]))), _test(file)),
    )
    return Case(
        SPECS / f"{hyper['algorithm']}.net",
        settings,
        trace,
        relative_tolerances(trace, relative),
        derived=(_loss(file, hyper, relative), _decision(file)),
        keep=("sweep/out.a", "final sweep/out.a"),
    )


def _init(file: Mapping[str, Array], names: tuple[str, ...]) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for k in range(1, len(names) + 1):
        found[f"W{k}.w"] = np.asarray(file[f"W{k}_init"], np.float64).T
        found[f"b{k}.w"] = np.asarray(file[f"b{k}_init"], np.float64)[None, :]
        if k > 1 and f"C{k}" in file:  # from layer k down to k - 1: already (pre, post)
            found[f"C{k}.w"] = np.asarray(file[f"C{k}"], np.float64)
    return found


def _batch(
    file: Mapping[str, Array], hyper: dict[str, Any], names: tuple[str, ...], b: int
) -> Presentation:
    labels = np.asarray(file["labels"][b], np.int64)
    check_targets(file["Y"][b], one_hot(labels, hyper["architecture"][-1]))
    epoch = b // hyper["batches_per_epoch"]
    rate = hyper["lr"] * hyper["lr_decay"] ** (epoch // hyper["lr_decay_step"])
    if abs(rate - float(file["lr"][b])) > 1e-12 * rate:
        raise GoldenError(f"the rate of batch {b} does not follow the file's schedule")
    expect: dict[str, Array] = {}
    update: dict[str, Array] = {}
    for k, name in enumerate(names, 1):
        expect[f"sweep/{name}.z"] = file[f"z{k}"][b][None]
        expect[f"sweep/{name}.a"] = file[f"a{k}"][b][None]
        if hyper["algorithm"] == "fa":
            expect[f"sweep/{name}.delta"] = file[f"delta{k}"][b][None] * len(labels)
        else:
            update[f"{name}.z@adjoint"] = file[f"delta{k}"][b]
        update |= _weights(file, f"W{k}", b) | _weights(file, f"b{k}", b)
    return Presentation(
        sample={"image": file["X"][b], "label": labels},
        globals={"epoch": epoch},
        expect=expect,
        update=update,
        name=f"batch {b}",
    )


def _weights(file: Mapping[str, Array], name: str, b: int) -> dict[str, Array]:
    def get(key: str) -> Array:
        value = np.asarray(file[key][b], np.float64)
        return value.T if value.ndim == 2 else value[None, :]

    return {
        f"{name}.dw": -get(f"d{name}"),
        f"{name}.adam.m": -get(f"m_{name}_after"),
        f"{name}.adam.v": get(f"v_{name}_after"),
        f"{name}.adam.n": np.asarray(b + 1.0),
        f"{name}.w": get(f"{name}_after"),
    }


def _test(file: Mapping[str, Array]) -> Presentation:
    return Presentation(
        sample={"image": file["eval_X"], "label": np.asarray(file["eval_pred"], np.int64)},
        final={"sweep/out.a": file["eval_out"]},
        protocol="test",
        name="evaluation",
    )


def _decision(file: Mapping[str, Array]) -> Derived:
    return Derived(
        "prediction",
        ("final sweep/out.a",),
        lambda out: out.argmax(-1),
        (np.asarray(file["eval_pred"]),),
        0.0,
    )


def _loss(file: Mapping[str, Array], hyper: dict[str, Any], relative: float) -> Derived:
    targets = iter(np.asarray(file["Y"], np.float64))
    cross_entropy = hyper["loss"] == "ce"

    def loss(steps: Array) -> Array:
        out, target = np.asarray(steps[0], np.float64), next(targets)
        if not cross_entropy:
            return np.asarray(((out - target) ** 2).mean())
        shifted = out - out.max(1, keepdims=True)
        return np.asarray(np.mean(np.log(np.exp(shifted).sum(1)) - (shifted * target).sum(1)))

    tolerance = relative * float(np.abs(file["loss"]).max())
    recorded = tuple(np.asarray(value) for value in file["loss"])
    return Derived("loss", ("sweep/out.a",), loss, recorded, tolerance)
