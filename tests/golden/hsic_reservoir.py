"""Golden files of a reservoir that learns to say the global signal. Sheet hsic.md sections 4 and 9.

Samples come one by one. The memory stores what is present with each, so that the first samples of
the first window are presented, too; nothing is recorded of them.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from netdsl.tools.replay import Presentation, Trace
from tests.golden import hsic
from tests.golden.case import SPECS, Array, Case, Derived, GoldenError


def case(file: hsic.File, hyper: dict[str, Any], relative: float) -> Case:
    """Every sample once, held for some steps."""
    if hyper["optimizer"] != "sgd":
        raise GoldenError(f"the specification learns by sgd, the file by {hyper['optimizer']}")
    steps, windows = int(hyper["timesteps_per_window"]), np.asarray(file["windows"], np.int64)
    if (windows[1:, :-1] != windows[:-1, 1:]).any():
        raise GoldenError("the specification's memory moves up by one sample, the file's does not")
    first = [_pushed(file, index) for index in windows[0, :-1]]
    held = [_held(file, index, k, steps) for k, index in enumerate(windows[:, -1])]
    trace = Trace(_init(file, hyper), (*first, *held))
    key = "show/out.o"
    return Case(
        SPECS / "hsic_reservoir.net",
        _settings(hyper, steps),
        trace,
        hsic.tolerances(trace, relative),
        derived=(_loss(file, key, steps, relative),),
        keep=(key,),
        shares=hsic.shares(trace, relative),
    )


def _settings(hyper: dict[str, Any], steps: int) -> dict[str, Any]:
    return {
        "rows": hyper["xdim"],
        "cols": 1,
        "classes": hyper["ydim"],
        "n_z": hyper["zdim"],
        "n": hyper["nhidden"],
        "N": hyper["memory_B"],
        "T": steps,
        "tau": hsic.steps(hyper),
        "g": hyper["recurrent_strength"],
        "density": 1,  # what does not exist has the weight 0 in the file
        "noise": hyper["hidden_noise"],
        "noise_out": hyper["output_noise"],
        "gamma": hyper["gamma"],
        "width": hyper["sigma"],
        "lr": hyper["learning_rate"],
    }


def _init(file: hsic.File, hyper: dict[str, Any]) -> dict[str, Array]:
    given = np.split(np.asarray(file["Wi"], np.float64), np.cumsum([hyper["xdim"], hyper["ydim"]]))
    found = {f"{name}.w": part for name, part in zip(("Wx", "Wy", "Wz"), given, strict=True)}
    return found | {"Wr.w": file["Wr"], "Wf.w": file["Wf"], "Wo.w": file["Wo"][0]}


def _sample(file: hsic.File, index: int) -> dict[str, Array]:
    chosen = np.asarray([index])
    return hsic.sample(file, chosen) | {"z": np.asarray(file["Z"], np.float64)[chosen]}


def _pushed(file: hsic.File, index: int) -> Presentation:
    return Presentation(sample=_sample(file, index), name=f"sample {index}")


def _held(file: hsic.File, index: int, k: int, steps: int) -> Presentation:
    here = slice(k * steps, (k + 1) * steps)
    after = slice(k * steps + 1, (k + 1) * steps + 1)

    def of_row(name: str, when: slice) -> Array:
        return np.asarray(file[name][when], np.float64)[:, None]

    return Presentation(
        sample=_sample(file, index),
        feed={"show/res.eta": of_row("xi_h", here), "show/out.eta": of_row("xi_o", here)},
        expect={
            "show/res.r": of_row("r", here),
            "show/res.u": of_row("u", after),
            "show/out.o": of_row("out", here),
            "show/xi.out": np.repeat(file["target"][k][None, None], steps, 0),
            "show/Wo.w": np.asarray(file["Wo"][after], np.float64),
        },
        name=f"window {k}",
    )


def _loss(file: hsic.File, key: str, steps: int, relative: float) -> Derived:
    """The mean square of what the readout says less the signal."""
    targets = iter(np.asarray(file["target"], np.float64))

    def compute(out: Array) -> Array:
        error = np.asarray(out, np.float64).reshape(steps, -1) - next(targets)
        return np.asarray((error**2).mean(-1))

    values = np.asarray(file["loss"], np.float64)
    share = hsic.SHARES[relative < hsic.FLOAT64][1]
    recorded = tuple(values.reshape(-1, steps))
    return Derived("loss", (key,), compute, recorded, share * float(values.max()))
