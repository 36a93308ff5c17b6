"""Golden files of networks that settle twice: CorInfoMax (plain and sparse), EP and CSM.

Sheet corinfomax.md sections 2 to 4 and 12. Weights of the files are (post, pre); here (pre, post).
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
    check_targets,
    exponent,
    layer_names,
    layer_settings,
    one_hot,
    relative_tolerances,
    units_last,
)

SCHEDULES = {
    "constant": "constant",
    "divide_by_loop_index": "divide",
    "divide_by_slow_loop_index": "slow",
}
ORIGINAL_STEP = 0.5
LATE = 10**6  # the rates of a file fall by one factor only


def corinfomax(file: Mapping[str, Array], hyper: dict[str, Any], relative: float) -> Case:
    """CorInfoMax, with or without sparse layers."""
    architecture = hyper["architecture"]
    names = layer_names(len(architecture) - 1)
    batches = range(len(file["X"]))
    trace = Trace(
        _matrices(file, names, "_init", None),
        (*(_settled(file, hyper, names, b) for b in batches), _test(file, "out.r", True)),
    )
    spec = "corinfomax_sparse.net" if hyper.get("sparse_layers") else "corinfomax.net"
    return Case(
        SPECS / spec,
        _corinfomax_settings(hyper, len(names)),
        trace,
        relative_tolerances(trace, relative),
        derived=(*_angles(file, len(names), relative), _decision(file, "out.r")),
        keep=tuple(f"update {w}{k}.w" for w in ("Wff", "Wfb") for k in range(2, len(names) + 1))
        + ("final free/out.r",),
    )


def _corinfomax_settings(hyper: dict[str, Any], layers: int) -> dict[str, Any]:
    if hyper["neural_lr_rule"] not in SCHEDULES:
        raise GoldenError(f"unknown neural_lr_rule {hyper['neural_lr_rule']!r}")
    settings = layer_settings(hyper["architecture"]) | {
        "B": hyper["batch"],
        "forget": hyper["lambda_"],
        "eps": hyper["epsilon"],
        "g": hyper["hopfield_g"],
        "beta0": hyper["beta"],
        "T_free": hyper["n_free"],
        "T_nudged": hyper["n_nudged"],
        "eta0": hyper["neural_lr_start"],
        "eta_stop": hyper["neural_lr_stop"],
        "slowing": hyper["neural_lr_decay_multiplier"],
        "schedule": SCHEDULES[hyper["neural_lr_rule"]],
        "d": hyper["lr_decay"],
        "late": LATE,
    }
    sparse = hyper.get("sparse_layers") or []
    for k in range(1, layers + 1):
        settings[f"ff{k}"] = hyper["lr_ff"][k - 1]
        settings[f"sparse{k}"] = k in sparse
        if k > 1:
            settings[f"fb{k}"] = hyper["lr_fb"][k - 1]
        if sparse:
            settings[f"alpha{k}"] = hyper["STlambda_lr_list"][k - 1]
    return settings


def _matrices(
    file: Mapping[str, Array], names: tuple[str, ...], suffix: str, batch: int | None
) -> dict[str, Array]:
    """All matrices and biases that the file has, as (pre, post). Wfb1 is never read: left out."""
    found = {}
    for k in range(1, len(names) + 1):
        for kind in ("Wff", "Wfb", "B", "W", "b", "M"):
            key = f"{kind}{k}{suffix}"
            if key not in file or (kind == "Wfb" and k == 1):
                continue
            value = np.asarray(file[key], np.float64)
            value = value if batch is None else value[batch]
            found[f"{kind}{k}.w"] = value.reshape(1, -1) if kind == "b" else value.T
    return found


def _settled(
    file: Mapping[str, Array], hyper: dict[str, Any], names: tuple[str, ...], b: int
) -> Presentation:
    labels = np.asarray(file["labels"][b], np.int64)
    check_targets(file["Y"][b].T, one_hot(labels, hyper["architecture"][-1]))
    expect: dict[str, Array] = {}
    for phase in ("free", "nudged"):
        for k, name in enumerate(names, 1):
            for variable, key in (("u", "u"), ("r", "r")):
                expect[f"{phase}/{name}.{variable}"] = units_last(file[f"{phase}_{key}{k}"][b])
            for variable, key in (("pre_l", "lamint"), ("l", "lam")):
                if f"{phase}_{key}{k}" in file:
                    lagrange = np.asarray(file[f"{phase}_{key}{k}"][b], np.float64)
                    expect[f"{phase}/{name}.{variable}"] = lagrange[:, 0, :]
    return Presentation(
        sample={"image": file["X"][b], "label": labels},
        globals={"beta": float(file["beta"][b]), "epoch": _epoch(file, hyper, b)},
        expect=expect,
        update=_matrices(file, names, "_after", b),
        name=f"batch {b}",
    )


def _epoch(file: Mapping[str, Array], hyper: dict[str, Any], b: int) -> int:
    falls = {
        exponent(float(rate), start, hyper["lr_decay"])
        for key, first in (("lr_ff", 0), ("lr_fb", 1))  # nothing reads the first Wfb
        for rate, start in zip(file[key][b][first:], hyper[key][first:], strict=True)
        if start != 0 or rate != 0  # a projection that does not learn
    }
    if not falls:
        return 0
    if len(falls) != 1:
        raise GoldenError("the rates of a batch have not fallen equally often")
    return falls.pop()


def _test(file: Mapping[str, Array], output: str, unit_major: bool) -> Presentation:
    out = np.asarray(file["eval_out"], np.float64)
    out = out.T if unit_major else out
    return Presentation(
        sample={"image": file["eval_X"], "label": np.asarray(file["eval_pred"], np.int64)},
        final={f"free/{output}": out},
        protocol="test",
        name="evaluation",
    )


def _decision(file: Mapping[str, Array], output: str) -> Derived:
    return Derived(
        "prediction",
        (f"final free/{output}",),
        lambda out: out.argmax(-1),
        (np.asarray(file["eval_pred"]),),
        0.0,
    )


def _angles(file: Mapping[str, Array], layers: int, relative: float) -> list[Derived]:
    later = (None,) * (len(file["X"]) - 1)
    return [
        Derived(
            f"angle of Wff{k} and Wfb{k}",
            (f"update Wff{k}.w", f"update Wfb{k}.w"),
            _angle,
            (np.asarray(file["angle_after_batch0_deg"][k - 2]), *later),
            relative * 180,
        )
        for k in range(2, layers + 1)
    ]


def _angle(forward: Array, backward: Array) -> Array:
    size = np.sqrt((forward**2).sum() * (backward**2).sum())
    return np.asarray(np.degrees(np.arccos((forward * backward.T).sum() / size)))


def energy(file: Mapping[str, Array], hyper: dict[str, Any], relative: float) -> Case:
    """Equilibrium propagation and contrastive similarity matching."""
    architecture = hyper["architecture"]
    names = layer_names(len(architecture) - 1)
    settings = layer_settings(architecture) | {
        "B": hyper["batch"],
        "T_free": hyper["T_free"],
        "T_nudged": hyper["T_nudged"],
        "eta": _training_step(file, hyper),
        "eta_test": hyper["neural_lr"],
        "beta0": hyper["beta"],
    }
    settings |= {f"rate{k}": rate for k, rate in enumerate(hyper["alphas_W"], 1)}
    settings |= {f"lateral{k}": -rate for k, rate in enumerate(hyper.get("alphas_M", []), 1)}
    batches = range(len(file["X"]))
    trace = Trace(
        _matrices(file, names, "_init", None),
        (*(_pulled(file, hyper, names, b) for b in batches), _test(file, "out.s", False)),
    )
    return Case(
        SPECS / f"{hyper['algorithm']}.net",
        settings,
        trace,
        relative_tolerances(trace, relative),
        derived=(_decision(file, "out.s"),),
        keep=("final free/out.s",),
    )


def _training_step(file: Mapping[str, Array], hyper: dict[str, Any]) -> float:
    """Step of the descent in training: `neural_lr`, or the original's own where that is at work.

    The published scripts give `neural_lr` to evaluations alone (sheet section 4). The first step
    from zero depends on the image only, and shows which of the two a file was made with.
    """
    drive = np.asarray(file["X"][0], np.float64) @ file["W1_init"].T + file["b1_init"]
    first = np.asarray(file["free_s1"][0][0], np.float64)
    given = float(hyper["neural_lr"])
    gap = {eta: np.abs(np.clip(eta * drive, 0, 1) - first).max() for eta in (given, ORIGINAL_STEP)}
    return min(gap, key=lambda eta: gap[eta])


def _pulled(
    file: Mapping[str, Array], hyper: dict[str, Any], names: tuple[str, ...], b: int
) -> Presentation:
    labels = np.asarray(file["labels"][b], np.int64)
    check_targets(file["Y"][b], one_hot(labels, hyper["architecture"][-1]))
    return Presentation(
        sample={"image": file["X"][b], "label": labels},
        globals={"beta": float(file["beta"][b])},
        expect={
            f"{phase}/{name}.s": np.asarray(file[f"{phase}_s{k}"][b], np.float64)
            for phase in ("free", "nudged")
            for k, name in enumerate(names, 1)
        },
        update=_matrices(file, names, "_after", b),
        name=f"batch {b}",
    )
