"""Golden files of back-propagation through the networks of the HSIC rule. Sheet hsic.md sections 5
and 9.1."""

from __future__ import annotations

from typing import Any

import numpy as np

from netdsl.tools.replay import Presentation, Trace
from tests.golden import hsic
from tests.golden.case import SPECS, Array, Case

PHASE = "seen"


def rates(file: hsic.File, hyper: dict[str, Any], relative: float) -> Case:
    """Dense layers."""
    settings = hsic.sizes(hyper, 1, 3) | {"layers": len(hyper["features"]) + 1}
    settings |= {"rows": int(np.prod(hyper["input_shape"])), "cols": 1}
    return _case(file, hyper, "hsic_bp.net", settings, relative)


def maps(file: hsic.File, hyper: dict[str, Any], relative: float) -> Case:
    """Convolutions, with pooling behind each."""
    hsic.check_kernels(hyper)
    rows, columns, channels = hyper["input_shape"]
    settings = hsic.sizes(hyper, 1, 3) | {"blocks": len(hyper["features"])}
    settings |= {"rows": rows, "cols": columns, "ch": channels}
    return _case(file, hyper, "hsic_cnn_bp.net", settings, relative)


def _case(
    file: hsic.File, hyper: dict[str, Any], spec: str, settings: dict[str, Any], relative: float
) -> Case:
    settings |= hsic.adamw_settings(hyper) | hsic.ridge_settings(hyper, SPECS / spec)
    settings |= {"B": hyper["batch_size"]}
    batches = np.asarray(file["batches"], np.int64)
    trace = Trace(
        hsic.init(file), tuple(_update(file, chosen, k) for k, chosen in enumerate(batches))
    )
    key = f"final {PHASE}/out.z"
    return Case(
        SPECS / spec,
        settings,
        trace,
        hsic.tolerances(trace, relative),
        derived=(hsic.loss(file, batches, key, relative),),
        keep=(key,),
        shares=hsic.shares(trace, relative),
    )


def _update(file: hsic.File, chosen: Array, k: int) -> Presentation:
    """The phase has no step: activities are those at its end, before the update."""
    seen = {f"{PHASE}/{key}": value for key, value in hsic.activities(file, k).items()}
    return hsic.learned(file, chosen, k, final=seen)
