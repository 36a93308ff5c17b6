"""What a run writes into its directory besides metrics: its description and its checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from netdsl.ir.network import Place as Where
from netdsl.ir.windows import Windows
from netdsl.runtime.archive import Arrays
from netdsl.runtime.atomic import write_text
from netdsl.runtime.engine import Interpreter, Place
from netdsl.runtime.errors import RunDirError
from netdsl.runtime.rundir import RunDir
from netdsl.runtime.session import Session

if TYPE_CHECKING:
    from netdsl.api import Model
    from netdsl.runtime.training import Settings

_KEYS = "run/keys"
_KEPT = "kept/"


def write_description(run: RunDir, model: Model, settings: Settings) -> None:
    """Write spec, imported files, parameters, versions and what pictures need."""
    run.write_spec(model.network.text)
    for name, text in _companions(model).items():
        write_text(run.path / name, text)
    run.write_params(
        {
            "name": model.network.name,
            "source": model.network.source,
            "params": dict(model.network.params),
            "set": model.overrides,
            "data": {name: str(Path(path).resolve()) for name, path in model.data_paths.items()},
            "seed": model.seed,
            "dtype": model.dtype,
            "backend": model.backend,
            "protocol": settings.protocol,
            "epochs": settings.epochs,
            "limit": settings.limit,
        }
    )
    run.write_versions({"backend": model.backend})
    run.write_model(describe(model))


def _companions(model: Model) -> dict[str, str]:
    """Files that the spec uses, by file name, so that the copy stands on its own."""
    own = model.network.source
    return {
        Path(name).name: text
        for name, text in model.sources.items()
        if name != own and Path(name).is_file() and Path(name).name != "spec.net"
    }


def describe(model: Model) -> dict[str, Any]:
    """Populations with their axes, projections with their ends, the time step: for pictures."""
    network = model.network
    populations = {
        name: {"axes": {axis or f"axis{i}": n for i, (axis, n) in enumerate(population.axes)}}
        for name, population in network.populations.items()
    }
    projections = {
        name: {
            "pre": projection.pre,
            "post": projection.post,
            **_window(projection.connectivity.windows),
        }
        for name, projection in network.projections.items()
    }
    dt = network.dt
    return {
        "populations": populations,
        "projections": projections,
        "dt": 1.0 if dt is None else dt * 1e3,
        "dt_unit": "step" if dt is None else "ms",
    }


def _window(windows: Windows | None) -> dict[str, Any]:
    """What a kernel sees at a place: rows, columns and channels."""
    if windows is None or windows.still:
        return {}
    return {"window": [*windows.kernel, 1 if windows.depthwise else windows.channels]}


def save_checkpoint(run: RunDir, session: Session, interpreter: Interpreter, rows: int) -> None:
    """Store everything that continuing needs, in one file."""
    arrays = session.lasting()
    arrays[_KEYS] = session.keys
    for name, values in interpreter.kept.items():
        arrays.update({f"{_KEPT}{name}/{path}": np.asarray(v) for path, v in values.items()})
    place = interpreter.place.to_json() | {"draws": session.draws}
    choices = {session.executor.name: session.executor.choices()}
    counters = {"place": place, "host": session.host, "metric_rows": rows, "choices": choices}
    counters["started"] = session.started
    run.save_checkpoint(arrays, counters)


def load_checkpoint(run: RunDir, session: Session) -> tuple[Place, dict[str, dict[str, Any]], int]:
    """Put a checkpoint back: where it was, the parameters kept, and the rows of metrics logged.

    Raises RunDirError E0720 without a checkpoint, E0722 when it is of another network.
    """
    found = run.checkpoint()
    if found is None:
        raise RunDirError(
            "E0720", f"`{run.path}` has no checkpoint to continue from", "run it anew"
        )
    arrays, counters = found
    kept: dict[str, dict[str, Any]] = {}
    for key in [key for key in arrays if key.startswith(_KEPT)]:
        name, _, path = key[len(_KEPT) :].partition("/")
        kept.setdefault(name, {})[path] = arrays.pop(key)
    keys = arrays.pop(_KEYS)
    _require_same(run, session, arrays)
    session.restore(arrays, keys)
    session.started = int(counters.get("started", len(keys)))
    for path, value in counters["host"].items():
        session.set_host(path, float(value))
    executor = session.executor
    executor.choose(counters.get("choices", {}).get(executor.name, {}))
    place = Place(**counters["place"])
    session.draws = dict(place.draws)
    return place, kept, int(counters["metric_rows"])


def _require_same(run: RunDir, session: Session, arrays: Arrays) -> None:
    """The checkpoint has exactly this network's buffers; only the number of rows may differ."""
    rows = session.rows
    own = {name: value.shape for name, value in session.lasting().items()}
    odd = sorted(set(arrays) ^ set(own))
    for name, shape in own.items():
        per_sample = session.program.buffers[name].place in (Where.ROW, Where.UNIT)
        skip = 1 if per_sample and rows else 0
        if name in arrays and arrays[name].shape[skip:] != shape[skip:]:
            odd.append(name)
    if odd:
        raise RunDirError(
            "E0722",
            f"the checkpoint of `{run.path}` is of another network: `{odd[0]}` differs",
            "continue with the run directory's own spec.net and settings",
        )
