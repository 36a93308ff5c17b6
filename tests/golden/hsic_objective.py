"""Golden files of the HSIC objective that is differentiated, layer by layer. Sheet hsic.md sections
2.4 and 9.1."""

from __future__ import annotations

from typing import Any

import numpy as np

from netdsl.tools.replay import Trace
from tests.golden import hsic
from tests.golden.case import SPECS, Array, Case, Derived

SPEC = SPECS / "hsic_autodiff.net"


def case(file: hsic.File, hyper: dict[str, Any], relative: float) -> Case:
    """One update for each batch, of which all samples teach."""
    settings = hsic.sizes(hyper, 1, 3) | hsic.adamw_settings(hyper) | hsic.kernel_settings(hyper)
    settings |= {"rows": int(np.prod(hyper["input_shape"])), "cols": 1, "N": hyper["batch_size"]}
    settings |= hsic.layers(hyper) | hsic.ridge_settings(hyper, SPEC)
    batches = np.asarray(file["batches"], np.int64)
    updates = (
        hsic.learned(file, chosen, k, expect=hsic.in_step(file, k))
        for k, chosen in enumerate(batches)
    )
    trace = Trace(hsic.init(file), tuple(updates))
    hidden = hsic.names(hsic.count(file))[:-1]
    objectives = tuple(
        _objective(file, hyper, i, f"{name}.z", relative) for i, name in enumerate(hidden)
    )
    return Case(
        SPEC,
        settings,
        trace,
        hsic.tolerances(trace, relative),
        derived=(hsic.loss(file, batches, "out.z", relative), *objectives),
        keep=("out.z", *(f"{name}.z" for name in hidden)),
        shares=hsic.shares(trace, relative),
    )


def _objective(
    file: hsic.File, hyper: dict[str, Any], layer: int, key: str, relative: float
) -> Derived:
    """What a hidden layer descends, from its activities and the recorded kernels of the samples."""
    kernels = iter(np.asarray(file["kx"], np.float64) - hyper["gamma"] * file["ky"])
    width = hyper["sigmas_xyz"][2]

    def compute(z: Array) -> Array:
        z, kernel = np.asarray(z, np.float64)[0], next(kernels)
        square = ((z[:, None] - z[None]) ** 2).mean(-1)
        centred = np.eye(len(z)) - 1 / len(z)
        own = np.exp(-square / (2 * width**2))
        return np.asarray(np.trace(centred @ kernel @ centred @ own) / (len(z) - 1) ** 2)

    recorded = np.asarray(file[f"hsic{layer}"], np.float64)
    share = hsic.SHARES[relative < hsic.FLOAT64][1] * float(np.abs(recorded).max()) + hsic.ZERO
    return Derived(f"objective of layer {layer}", (key,), compute, tuple(recorded), share)
