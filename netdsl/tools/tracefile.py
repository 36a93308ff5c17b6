"""Traces as NPZ files.

replay                       JSON text: [{"prefix": "p0", "protocol": "train", "name": ""}, ...]
init/PATH                    initial values
PREFIX/sample/FIELD          (R, ...)
PREFIX/feed/PATH             (T, R, n); PREFIX/feed/PHASE/PATH where a body has several phases
PREFIX/global/NAME           one number: global states, controls, counters
PREFIX/state/PATH            written before the body
PREFIX/expect/PHASE/PATH     (T, R, n) or (T + 1, R, n); the phase may be left out if only one
PREFIX/final/PHASE/PATH      at the end of a phase; without a phase at the end of the body
PREFIX/update/PATH           after the body's updates
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.runtime.archive import write_npz
from netdsl.runtime.errors import RunFault
from netdsl.runtime.state_file import read_state
from netdsl.tools.replay import Presentation, Trace

Array = NDArray[Any]
_PARTS = ("sample", "feed", "expect", "final", "update", "state")


def read_trace(path: Path) -> Trace:
    """The trace in a file. Raises RunFault E0720, E0724 (file) or E0741 (not a trace)."""
    arrays = read_state(path)
    listed = _listing(path, arrays)
    init = _under(arrays, "init/")
    return Trace(init, tuple(_presentation(path, arrays, entry) for entry in listed))


def _listing(path: Path, arrays: dict[str, Array]) -> list[dict[str, Any]]:
    try:
        listed = json.loads(str(arrays["replay"]))
        if isinstance(listed, list) and all("prefix" in entry for entry in listed):
            return listed
    except (KeyError, TypeError, ValueError):
        pass
    raise RunFault(
        "E0741",
        f"`{path}` is no trace: it has no list of presentations in the key `replay`",
        "docs/runtime.md describes the format",
    )


def _under(arrays: dict[str, Array], prefix: str) -> dict[str, Array]:
    return {key[len(prefix) :]: array for key, array in arrays.items() if key.startswith(prefix)}


def _presentation(path: Path, arrays: dict[str, Array], entry: dict[str, Any]) -> Presentation:
    prefix = str(entry["prefix"])
    parts = {part: _under(arrays, f"{prefix}/{part}/") for part in _PARTS}
    numbers = _under(arrays, f"{prefix}/global/")
    if not any(parts.values()):
        raise RunFault("E0741", f"`{path}` has no arrays of the presentation `{prefix}`")
    return Presentation(
        **parts,
        globals={key: float(value) for key, value in numbers.items()},
        protocol=str(entry.get("protocol", "train")),
        name=str(entry.get("name", prefix)),
    )


def write_trace(path: Path, trace: Trace) -> None:
    """Write a trace. Raises RunDirError E0723."""
    arrays: dict[str, Array] = {f"init/{key}": np.asarray(v) for key, v in trace.init.items()}
    listed = []
    for index, presentation in enumerate(trace.presentations):
        prefix = f"p{index}"
        listed.append(
            {"prefix": prefix, "protocol": presentation.protocol, "name": presentation.name}
        )
        for part in _PARTS:
            for key, value in getattr(presentation, part).items():
                arrays[f"{prefix}/{part}/{key}"] = np.asarray(value)
        for key, value in presentation.globals.items():
            arrays[f"{prefix}/global/{key}"] = np.asarray(float(value))
    arrays["replay"] = np.asarray(json.dumps(listed))
    write_npz(path, arrays)
