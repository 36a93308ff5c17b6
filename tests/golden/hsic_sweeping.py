"""Golden files of back-propagation through the networks of the HSIC rule. Sheet hsic.md sections 5
and 9.1."""

from __future__ import annotations

from typing import Any

import numpy as np

from netdsl.tools.replay import Trace
from tests.golden import hsic
from tests.golden.case import SPECS, Case, GoldenError

PHASE = "seen"


def rates(file: hsic.File, hyper: dict[str, Any], relative: float) -> Case:
    """Dense layers."""
    settings = hsic.sizes(hyper, 1, 3) | {"layers": len(hyper["features"]) + 1}
    settings |= {"rows": int(np.prod(hyper["input_shape"])), "cols": 1}
    return _case(file, hyper, "hsic_bp.net", settings, relative)


def maps(file: hsic.File, hyper: dict[str, Any], relative: float) -> Case:
    """Convolutions, with pooling behind each."""
    for key, value in (("kernel_size", [3, 3]), ("stride", 1), ("padding", 1)):
        if hyper[key] != value:
            raise GoldenError(f"the specification has {key} {value}, the file {hyper[key]}")
    rows, columns, channels = hyper["input_shape"]
    settings = hsic.sizes(hyper, 1, 3) | {"blocks": len(hyper["features"])}
    settings |= {"rows": rows, "cols": columns, "ch": channels}
    return _case(file, hyper, "hsic_cnn_bp.net", settings, relative)


def _case(
    file: hsic.File, hyper: dict[str, Any], spec: str, settings: dict[str, Any], relative: float
) -> Case:
    settings |= hsic.adamw_settings(hyper) | {"B": hyper["batch_size"]}
    batches = np.asarray(file["batches"], np.int64)
    updates = tuple(hsic.learned(file, chosen, k, PHASE) for k, chosen in enumerate(batches))
    trace = Trace(hsic.init(file), updates)
    key = f"final {PHASE}/out.z"
    return Case(
        SPECS / spec,
        settings,
        trace,
        hsic.tolerances(trace, relative),
        derived=(hsic.loss(file, batches, key, relative),),
        keep=(key,),
    )
