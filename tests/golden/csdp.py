"""CSDP golden files: three or more training presentations and one of inference.

Sheet csdp.md section 9. The file's dw is what a descending Adam receives; here dw is the change to
be added, so it, and the first moment, have the other sign.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from netdsl.tools.replay import Presentation, Trace
from tests.golden.case import SPECS, Array, Case, Derived, GoldenError, adam_settings

CELLS = {"z1": "h1", "z2": "h2", "zy": "out", "zR": "rec"}
TRACES = {"tr0": "rec", "tr1": "h1", "tr2": "h2", "tr3": "out"}
# Three times the differences that the sheet gives for a replay; weights 1e-5.
TOLERANCE = {"v": 6e-6, "j": 3e-5, "thr": 2.7e-7, "z": 9e-8, "mod": 1.2e-7, "err": 4.5e-8,
             "dw": 9e-7, "w": 1e-5, "m": 3.9e-7, "av": 3e-9, "loss": 4e-6}  # fmt: skip


def case(file: Mapping[str, Array], hyper: dict[str, Any], relative: float) -> Case:
    """The replay of one file; its tolerances are absolute and the same for all types."""
    weights = [key.removeprefix("init/") for key in file if _is_weight(key)]
    settings = _settings(hyper)
    phases = hyper["phases"]
    presentations = tuple(_presentation(file, p, weights) for p in phases)
    init = {f"{name}.w": np.asarray(file[f"init/{name}"], np.float64) for name in weights}
    for cell, population in CELLS.items():
        init[f"{population}.thr0"] = np.asarray(file[f"init/thr_{cell}"], np.float64).ravel()
    derived = [d for k in (1, 2) for d in _modulated(file, phases, k, hyper)]
    derived.append(_counts(file, phases))
    return Case(
        SPECS / ("csdp_unsupervised.net" if hyper["algo_type"] == "unsupervised" else "csdp.net"),
        settings,
        Trace(init, presentations),
        _tolerances(weights),
        derived=tuple(derived),
        keep=("show/good.h1", "show/good.h2", "show/h1.z", "show/h2.z", "show/out.s"),
        spikes=tuple(f"show/{population}.s" for population in CELLS.values()),
    )


def _is_weight(key: str) -> bool:
    return key.startswith("init/") and not key.startswith(("init/thr_", "init/key_"))


FIXED = {"resist_m": 1.0, "refract_T": 0.0, "hebb_w_decay": 0.0, "learn_recon": True}  # fmt: skip


def _settings(hyper: dict[str, Any]) -> dict[str, Any]:
    for key, value in FIXED.items():
        if hyper.get(key, value) != value:
            raise GoldenError(f"the specification has {key} = {value}, the file {hyper[key]}")
    return {
        "rows": hyper["in_dim"],
        "cols": 1,
        "n1": hyper["hid_dim"],
        "n2": hyper["hid_dim2"],
        "classes": hyper["out_dim"],
        "T": hyper["T"],
        "tick": f"{hyper['dt']} ms",
        "tau_m": f"{hyper['tau_m']} ms",
        "tau_tr": f"{hyper['tau_tr']} ms",
        "rho": hyper["rho_b"],
        "thr_min": hyper["thr_floor"],
        "w_max": hyper["w_bound"],
        "soft": hyper["hebb_post_weight"],
        "eta": hyper["eta"],
        "lambda": hyper["w_decay"],
        "theta": hyper["goodness_threshold"],
        "R_m": hyper["R_m"],
        "R_inh": hyper["R_inh"],
    } | adam_settings(hyper["adam_beta1"], hyper["adam_beta2"], hyper["adam_eps"])


def _presentation(file: Mapping[str, Array], phase: str, weights: list[str]) -> Presentation:
    training = f"{phase}/w_{weights[0]}" in file

    def get(key: str) -> Array:
        return np.asarray(file[f"{phase}/{key}"], np.float64)

    shown = get("y").argmax(1)
    true = get("y_true").argmax(1)
    expect: dict[str, Array] = {}
    for cell, population in CELLS.items():
        expect |= {f"show/{population}.{x}": get(f"{x}_{cell}") for x in ("j", "v", "s", "thr")}
    expect |= {f"show/{population}.z": get(trace) for trace, population in TRACES.items()}
    expect["show/out.err"], expect["show/rec.err"] = get("err_y"), get("err_R")
    rows = len(shown)
    for k in (1, 2):
        square = (get(f"tr{k}") ** 2).sum(-1)
        probability = 1 / (1 + np.exp(-(square - float(_theta(file)))))
        expect[f"show/good.h{k}"] = 2 * (probability - get("label")[:, 0]) / rows
    update: dict[str, Array] = {}
    if training:
        for name in weights:
            expect[f"show/{name}.w"] = get(f"w_{name}")
            expect[f"show/{name}.dw"] = -get(f"dw_{name}")
            update[f"{name}.adam.m"] = -get(f"adam_m_{name}")
            update[f"{name}.adam.v"] = get(f"adam_v_{name}")
            update[f"{name}.adam.n"] = get("adam_t")
    return Presentation(
        sample={
            "image": get("x"),
            "label": np.resize(true, rows),
            "shown_label": shown,
            "positive": get("label")[:, 0],
        },
        feed={"show/img.s": get("s0"), "show/ctx.s": get("s3")},
        expect=expect,
        final={} if training else {"show/out.s@sum:show": get("y_count")},
        update=update,
        protocol="train" if training else "test",
        name=phase,
    )


def _theta(file: Mapping[str, Array]) -> float:
    import json

    return float(json.loads(str(file["hyper"]))["goodness_threshold"])


def _modulated(
    file: Mapping[str, Array], phases: list[str], k: int, hyper: dict[str, Any]
) -> list[Derived]:
    """The modulator as the file has it, times the trace; and the loss that it derives from."""
    theta = hyper["goodness_threshold"]
    contrast = [np.asarray(file[f"{p}/label"], np.float64)[:, 0] for p in phases]
    turn = iter(contrast)

    def loss(z: Array) -> Array:
        a = (np.asarray(z, np.float64) ** 2).sum(-1) - theta
        terms = np.maximum(a, 0) - a * next(turn) + np.log1p(np.exp(-np.abs(a)))
        return np.asarray(terms.mean(-1))

    return [
        Derived(
            f"good.h{k} * h{k}.z",
            (f"show/good.h{k}", f"show/h{k}.z"),
            lambda good, z: np.asarray(good[..., None] * z),
            tuple(np.asarray(file[f"{p}/mod_g{k}"], np.float64) for p in phases),
            TOLERANCE["mod"],
        ),
        Derived(
            f"loss of h{k}",
            (f"show/h{k}.z",),
            loss,
            tuple(np.asarray(file[f"{p}/loss_g{k}"], np.float64) for p in phases),
            TOLERANCE["loss"],
        ),
    ]


def _counts(file: Mapping[str, Array], phases: list[str]) -> Derived:
    """Spikes of the output over a presentation; a run itself counts them in evaluations only."""
    recorded = tuple(np.asarray(file[f"{p}/y_count"], np.float64) for p in phases)
    return Derived("count of out.s", ("show/out.s",), lambda s: np.asarray(s.sum(0)), recorded, 0.0)


def _tolerances(weights: list[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for population in CELLS.values():
        found |= {f"show/{population}.{x}": TOLERANCE[x] for x in ("j", "v", "thr", "z")}
        found[f"show/{population}.s"] = 0.0
        found[f"show/{population}.err"] = TOLERANCE["err"]
    found["show/good.*"] = TOLERANCE["mod"]
    for name in weights:
        found[f"show/{name}.w"] = TOLERANCE["w"]
        found[f"show/{name}.dw"] = TOLERANCE["dw"]
        found[f"update {name}.adam.m"] = TOLERANCE["m"]
        found[f"update {name}.adam.v"] = TOLERANCE["av"]
        found[f"update {name}.adam.n"] = 0.0
    found["*out.s@sum:show"] = 0.0
    return found
