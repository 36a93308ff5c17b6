"""State files: NPZ archives of arrays by path (``W1.w``, ``W1.adam.m``, ``h1.thr0``), unpickled."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.ir.program import Program
from netdsl.runtime.archive import ArchiveError, Arrays, TooLarge, read_npz
from netdsl.runtime.errors import RunDirError
from netdsl.streams.connectivity import synapses_of


def read_state(path: Path) -> Arrays:
    """All arrays of a state file.

    Raises RunDirError E0720 if it is missing or may not be read, E0724 if it is damaged,
    E0751 if it does not fit into memory.
    """
    try:
        return read_npz(path)
    except OSError as fault:
        raise RunDirError(
            "E0720",
            f"cannot read the state file `{path}`: {fault.strerror or fault}",
            "check the path; a run that was stopped early may have no such file",
        ) from None
    except TooLarge as fault:
        raise RunDirError("E0751", f"state file `{path}` is too large: {fault}") from None
    except ArchiveError as fault:
        raise RunDirError(
            "E0724",
            f"state file `{path}` is damaged: {fault}",
            "use another .npz file of the run",
        ) from None


def check_state(
    state: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int, ...]], where: str
) -> None:
    """Check that ``state`` has exactly the keys and shapes that a network expects.

    ``where`` names the file. Raises RunDirError E0721 for an unknown or missing key, E0722 for
    another shape or for an array that is not made of numbers.
    """
    unknown = sorted(set(state) - set(shapes))
    missing = sorted(set(shapes) - set(state))
    if unknown:
        near = difflib.get_close_matches(unknown[0], missing or list(shapes), 1)
        hint = f"did you mean `{near[0]}`?" if near else f"this network has {_some(sorted(shapes))}"
        raise RunDirError("E0721", f"{where} has unknown {_some(unknown)}", hint)
    if missing:
        raise RunDirError(
            "E0721", f"{where} lacks {_some(missing)}", "it was saved by another spec or setting"
        )
    for key, shape in shapes.items():
        if state[key].shape != tuple(shape):
            raise RunDirError(
                "E0722",
                f"`{key}` in {where} has shape {state[key].shape}, the network's is {tuple(shape)}",
                "use the parameters (--set) of the run that saved it; weights are (pre, post)",
            )
        if state[key].dtype.kind not in "biuf":
            raise RunDirError("E0722", f"`{key}` in {where} holds {state[key].dtype}, not numbers")


def check_synapses(
    state: Mapping[str, NDArray[Any]], program: Program, seed: int, where: str
) -> None:
    """Check that drawn projections have weights only at synapses. Raises RunDirError E0725."""
    for buffer in program.buffers.values():
        name = buffer.of
        if buffer.role != "weight" or name not in state:
            continue
        found = synapses_of(program, buffer.owner, seed)
        if found is None:
            continue
        outside = np.count_nonzero(state[name]) - np.count_nonzero(found.values(state[name]))
        if outside:
            raise RunDirError(
                "E0725",
                f"`{name}` in {where} has {outside} weights where seed {seed} draws no synapse",
                "use the --seed of the run that saved it",
            )


def _some(keys: list[str], limit: int = 4) -> str:
    listed = ", ".join(f"`{key}`" for key in keys[:limit])
    return f"{listed} and {len(keys) - limit} more" if len(keys) > limit else listed
