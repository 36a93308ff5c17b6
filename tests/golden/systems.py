"""The systems that golden files exist of, and reading such a file."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from tests.golden import (
    coding,
    csdp,
    hsic_memory,
    hsic_objective,
    hsic_reservoir,
    hsic_sweeping,
    recurrent,
    settling,
    sweeping,
)
from tests.golden.case import Array, Case, GoldenError

Adapter = Callable[[Mapping[str, Array], dict[str, Any], float], Case | tuple[Case, ...]]

# Name -> (adapter, what `hyper` of such a file says).
SYSTEMS: dict[str, tuple[Adapter, dict[str, Any]]] = {
    "csdp": (csdp.case, {"algo_type": "supervised"}),
    "csdp_unsupervised": (csdp.case, {"algo_type": "unsupervised"}),
    "corinfomax": (settling.corinfomax, {"algorithm": "corinfomax"}),
    "corinfomax_sparse": (settling.corinfomax, {"algorithm": "corinfomax_sparse"}),
    "ep": (settling.energy, {"algorithm": "ep"}),
    "csm": (settling.energy, {"algorithm": "csm"}),
    "pc": (coding.clamped, {"algorithm": "pc"}),
    "pc_nudge": (coding.nudged, {"algorithm": "pc_nudge"}),
    "bp_mse": (sweeping.case, {"algorithm": "bp", "loss": "mse"}),
    "bp_ce": (sweeping.case, {"algorithm": "bp", "loss": "ce"}),
    "fa": (sweeping.case, {"algorithm": "fa"}),
    "hsic_mlp": (hsic_memory.rates, {"model": "MLP"}),
    "hsic_lif": (hsic_memory.leaky, {"model": "LIFMLPCell"}),
    "hsic_cnn": (hsic_memory.maps, {"model": "CNN", "rule": "bio-HSIC"}),
    "hsic_autodiff": (hsic_objective.case, {"model": "MLP", "rule": "autodiff HSIC"}),
    "hsic_reservoir": (hsic_reservoir.case, {"model": "ReservoirCell"}),
    "hsic_bp": (hsic_sweeping.rates, {"model": "MLP", "rule": "back-propagation"}),
    "hsic_cnn_bp": (hsic_sweeping.maps, {"model": "CNN", "rule": "back-propagation"}),
    "mdgl": (recurrent.cases, {"system": "mdgl"}),
}
HYPER = ("hyper", "hyperparameters_json")  # what a file may call its JSON object
RELATIVE = {"float64": 1e-12, "float32": 1e-5}


def open_cases(system: str, path: Path, dtype: str = "float64") -> tuple[Case, ...]:
    """The replays that a golden file asks for, one for each specification that it speaks of.

    Raises GoldenError when the file cannot be read, has another layout or is of another system.
    """
    adapter, marks = SYSTEMS[system]
    try:
        with np.load(path, allow_pickle=False) as archive:
            file = {key: archive[key] for key in archive.files}
    except (OSError, ValueError, BadZipFile) as fault:
        raise GoldenError(f"cannot read {path}: {fault}") from None
    told = next((key for key in HYPER if key in file), None)
    if told is None:
        raise GoldenError(f"{path} has no `hyper`: it is not a golden file")
    try:
        hyper = dict(json.loads(str(file[told])))
    except (TypeError, ValueError) as fault:
        raise GoldenError(f"`{told}` of {path} is not a JSON object: {fault}") from None
    for key, value in marks.items():
        if hyper.get(key) != value:
            raise GoldenError(f"{path} has {key} = {hyper.get(key)!r}; {system} needs {value!r}")
    try:
        found = adapter(file, hyper, RELATIVE[dtype])
        return found if isinstance(found, tuple) else (found,)
    except KeyError as missing:
        raise GoldenError(f"{path} has no {missing}, which files of {system} have") from None
    except (IndexError, TypeError, ValueError) as fault:
        raise GoldenError(f"{path} has not the layout of {system} files: {fault}") from None
