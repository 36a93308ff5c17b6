"""Golden files of predictive coding, clamped and nudged. Sheet corinfomax.md sections 5, 6 and 12.

Of the states `x`, index 0 is the value before the first step. The value units are named by what the
files call x; the last file index of a weight is its value after the batch.
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
    exponent,
    layer_names,
    layer_settings,
    one_hot,
    relative_tolerances,
    units_last,
)

MARGIN = 0.03  # targets of predictive coding are 0.97 and 0.03


def clamped(file: Mapping[str, Array], hyper: dict[str, Any], relative: float) -> Case:
    """Predictive coding with its own Adam."""
    if hyper["optimizer"] != "adam":
        raise GoldenError(f"the specification learns by Adam, the file by {hyper['optimizer']}")
    names = layer_names(len(hyper["architecture"]) - 1)
    settings = _settings(hyper) | {"high": 1 - MARGIN, "low": MARGIN, "d": hyper["lr_decay"]}
    settings |= adam_settings(**hyper["adam"])
    trace = Trace(
        _parameters(file, names, "_init", None),
        (*(_clamped_batch(file, hyper, names, b) for b in range(len(file["X"]))), _guess(file)),
    )
    loss = Derived(
        "pc_loss",
        tuple(f"update {name}.miss@learned" for name in names),
        lambda *errors: np.asarray(-sum((np.float64(e) ** 2).sum(-1).mean() for e in errors)),
        tuple(np.asarray(value) for value in file["pc_loss"]),
        relative * float(np.abs(file["pc_loss"]).max()),
    )
    keep = (*loss.keys, "final guess/out.x")
    tolerance = relative_tolerances(trace, relative)
    return Case(SPECS / "pc.net", settings, trace, tolerance, (loss, _decision(file)), keep)


def nudged(file: Mapping[str, Array], hyper: dict[str, Any], relative: float) -> Case:
    """Predictive coding with a nudged output and plain descent."""
    names = layer_names(len(hyper["architecture"]) - 1)
    settings = _settings(hyper) | {
        "nu0": hyper["lambda_weight"],
        "flip": bool(hyper["random_sign"]),
        "d": hyper["stepLR_gamma"],
        "hold": hyper["stepLR_step_size"],
    }
    trace = Trace(
        _parameters(file, names, "_init", None),
        (*(_nudged_batch(file, hyper, names, b) for b in range(len(file["X"]))), _guess(file)),
    )
    tolerance = relative_tolerances(trace, relative)
    keep = ("final guess/out.x",)
    return Case(SPECS / "pc_nudge.net", settings, trace, tolerance, (_decision(file),), keep)


def _settings(hyper: dict[str, Any]) -> dict[str, Any]:
    return layer_settings(hyper["architecture"]) | {
        "B": hyper["batch"],
        "T": hyper["n_steps"],
        "eta": hyper["neural_lr"],
        "rate": hyper["lr"],
    }


def _parameters(
    file: Mapping[str, Array], names: tuple[str, ...], suffix: str, batch: int | None
) -> dict[str, Array]:
    found = {}
    for k in range(1, len(names) + 1):
        for kind in ("W", "b"):
            value = np.asarray(file[f"{kind}{k}{suffix}"], np.float64)
            found[f"{kind}{k}.w"] = (value if batch is None else value[batch]).T
    return found


def _moments(file: Mapping[str, Array], names: tuple[str, ...], b: int) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for k in range(1, len(names) + 1):
        for kind in ("W", "b"):
            for moment in ("m", "v"):
                value = np.asarray(file[f"{moment}_{kind}{k}_after"][b], np.float64)
                found[f"{kind}{k}.adam_early.{moment}"] = value.T
            found[f"{kind}{k}.adam_early.n"] = np.asarray(b + 1.0)
    return found


def _states(file: Mapping[str, Array], names: tuple[str, ...], b: int) -> dict[str, Array]:
    return {f"settle/{name}.x": units_last(file[f"x{k}"][b]) for k, name in enumerate(names, 1)}


def _clamped_batch(
    file: Mapping[str, Array], hyper: dict[str, Any], names: tuple[str, ...], b: int
) -> Presentation:
    labels = np.asarray(file["labels"][b], np.int64)
    target = (1 - 2 * MARGIN) * one_hot(labels, hyper["architecture"][-1]) + MARGIN
    check_targets(file["Y"][b].T, target)
    return Presentation(
        sample={"image": file["X"][b], "label": labels},
        globals={"epoch": exponent(float(file["lr"][b]), hyper["lr"], hyper["lr_decay"])},
        expect=_states(file, names, b),
        update=_parameters(file, names, "_after", b)
        | _moments(file, names, b)
        | {f"{name}.miss@learned": e for name, e in _errors(file, names, b).items()},
        name=f"batch {b}",
    )


def _errors(file: Mapping[str, Array], names: tuple[str, ...], b: int) -> dict[str, Array]:
    """Errors of the final states under the new weights, which the recorded loss is made of."""
    below = np.asarray(file["X"][b], np.float64)
    found = {}
    for k, name in enumerate(names, 1):
        x = np.asarray(file[f"x{k}"][b][-1], np.float64).T
        found[name] = x - below @ file[f"W{k}_after"][b].T - file[f"b{k}_after"][b].T
        below = 1 / (1 + np.exp(-x))
    return found


def _nudged_batch(
    file: Mapping[str, Array], hyper: dict[str, Any], names: tuple[str, ...], b: int
) -> Presentation:
    labels = np.asarray(file["labels"][b], np.int64)
    check_targets(file["Y"][b].T, one_hot(labels, hyper["architecture"][-1]))
    rate = hyper["lr"] * hyper["stepLR_gamma"] ** (b // hyper["stepLR_step_size"])
    if abs(rate - float(file["lr"][b])) > 1e-12 * rate:
        raise GoldenError(f"the rate of batch {b} does not follow the file's schedule")
    return Presentation(
        sample={"image": file["X"][b], "label": labels},
        globals={"nu": float(file["lambda_weight"][b])},
        expect=_states(file, names, b),
        update=_parameters(file, names, "_after", b),
        name=f"batch {b}",
    )


def _guess(file: Mapping[str, Array]) -> Presentation:
    return Presentation(
        sample={"image": file["eval_X"], "label": np.asarray(file["eval_pred"], np.int64)},
        final={"guess/out.x": np.asarray(file["eval_out"], np.float64).T},
        protocol="test",
        name="evaluation",
    )


def _decision(file: Mapping[str, Array]) -> Derived:
    return Derived(
        "prediction",
        ("final guess/out.x",),
        lambda out: out.argmax(-1),
        (np.asarray(file["eval_pred"]),),
        0.0,
    )
