"""What a run writes into its directory besides metrics: its description and its checkpoints."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from netdsl.ir.protocol import Protocol, fits
from netdsl.ir.windows import Windows
from netdsl.runtime.archive import Arrays
from netdsl.runtime.engine import Interpreter, Place
from netdsl.runtime.errors import RunDirError
from netdsl.runtime.record import companions, require_same, write_record
from netdsl.runtime.rundir import RunDir
from netdsl.runtime.session import PER_SAMPLE, Session
from netdsl.runtime.state_file import check_state

if TYPE_CHECKING:
    from netdsl.api import Model
    from netdsl.runtime.training import Settings

_KEYS = "run/keys"
_KEPT = "kept/"


def write_description(run: RunDir, model: Model, settings: Settings) -> None:
    """Write spec, imported files, parameters, versions and what pictures need."""
    used = companions(model)
    if used:
        name = Path(model.network.source).name
        run.write_sources(name, {name: model.network.text, **used})
    run.write_spec(model.network.text)
    run.write_versions({"backend": model.backend})
    run.write_model(describe(model))
    write_record(run, model, settings)


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


def save_checkpoint(
    run: RunDir, session: Session, interpreter: Interpreter, rows: int, identity: Mapping[str, Any]
) -> None:
    """Store everything that continuing needs, in one file; `identity` says of which run."""
    arrays = session.lasting()
    arrays[_KEYS] = session.keys
    for name, values in interpreter.kept.items():
        arrays.update({f"{_KEPT}{name}/{path}": np.asarray(v) for path, v in values.items()})
    place = interpreter.place.to_json() | {"draws": session.draws}
    choices = {session.executor.name: session.executor.choices()}
    counters = {"place": place, "host": session.host, "metric_rows": rows, "choices": choices}
    run.save_checkpoint(arrays, counters | {"identity": identity})


def load_checkpoint(
    run: RunDir, session: Session, protocol: Protocol, identity: Mapping[str, Any]
) -> tuple[Place, dict[str, Arrays], int]:
    """Put a checkpoint back: where it was, the parameters kept, and the rows of metrics logged.

    Without a checkpoint, nothing was learnt yet: the start. Raises RunDirError E0722 when it is of
    another network, E0724 when it is damaged, E0761 when it is of another run than `identity`.
    """
    found = run.checkpoint()
    if found is None:
        return Place(), {}, 0
    arrays, counters = found
    try:
        require_same(run, counters.get("identity"), identity)
        place = _place(counters["place"], protocol)
        host = {path: _number(value) for path, value in counters["host"].items()}
        rows, _ = _whole(counters["metric_rows"]), _whole(int(host["epoch"]))
        choices = counters["choices"].get(session.executor.name, {})
        choices = {what: [_whole(number) for number in held] for what, held in choices.items()}
        keys = np.asarray(arrays.pop(_KEYS))
        if keys.dtype != np.uint64 or keys.ndim != 1:
            raise ValueError("the rows' keys are no keys")
        session.executor.choose(choices)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as fault:
        raise _damaged(run, fault) from None
    kept = _kept(run, session, arrays)
    _require_same(run, session, arrays, len(keys))
    session.restore(arrays, keys)
    for path, value in host.items():
        session.set_host(path, value)
    # Again, since a change of the rows present makes kernels choose anew.
    session.executor.choose(choices)
    session.draws = dict(place.draws)
    return place, kept, rows


def _place(held: Mapping[str, Any], protocol: Protocol) -> Place:
    """The place that a checkpoint names; TypeError or ValueError where there is none."""
    place = Place(**held)
    numbers = (place.loops, place.batches, place.kept_at, *place.draws.values())
    if not all(_whole(number) == number for number in numbers):
        raise ValueError("a counter is no number")
    if not isinstance(place.position, list) or not fits(place.position, protocol.body):
        raise ValueError(f"protocol `{protocol.name}` has no place {place.position}")
    place.best = {name: _number(value) for name, value in place.best.items()}
    place.results = {
        label: {name: _number(value) for name, value in metrics.items()}
        for label, metrics in place.results.items()
    }
    return place


def _whole(value: Any) -> int:
    if not isinstance(value, int) or value < 0:
        raise ValueError(f"{str(value)[:40]} is no count")
    return value


def _number(value: Any) -> float:
    """A number of a JSON file, which has none for NaN."""
    return math.nan if value is None else float(value)


def _kept(run: RunDir, session: Session, arrays: Arrays) -> dict[str, Arrays]:
    """Take the parameters that `checkpoint NAME` kept out of `arrays`."""
    kept: dict[str, Arrays] = {}
    for key in [key for key in arrays if key.startswith(_KEPT)]:
        name, _, path = key[len(_KEPT) :].partition("/")
        kept.setdefault(name, {})[path] = arrays.pop(key)
    shapes = {path: value.shape for path, value in session.parameters().items()}
    for name, values in kept.items():
        check_state(values, shapes, f"`{name}` of the checkpoint of `{run.path}`")
    return kept


def _require_same(run: RunDir, session: Session, arrays: Arrays, present: int) -> None:
    """The checkpoint has exactly this network's buffers; only the number of rows may differ, and
    all have as many."""
    own = {name: value.shape for name, value in session.lasting().items()}
    odd = sorted(set(arrays) ^ set(own))
    rows: set[int] = set()
    for name, shape in own.items():
        held = arrays.get(name)
        if held is None:
            continue
        skip = int(session.program.buffers[name].place in PER_SAMPLE)
        rows.update(held.shape[:skip])
        fits = held.ndim == len(shape) and held.shape[skip:] == shape[skip:]
        if not fits or held.dtype.kind not in "biuf":
            odd.append(name)
    if odd:
        raise RunDirError(
            "E0722",
            f"the checkpoint of `{run.path}` is of another network: `{odd[0]}` differs",
            "continue with the run directory's own spec.net and settings",
        )
    if len(rows) > 1 or not all(present <= count for count in rows):
        raise _damaged(run, "its arrays are for different numbers of samples")
    if present > session.executor.capacity:
        raise RunDirError(
            "E0722",
            f"the checkpoint of `{run.path}` holds {present} samples, and there is room for"
            f" {session.executor.capacity}",
            "continue with the run's own batch sizes",
        )


def _damaged(run: RunDir, what: object) -> RunDirError:
    return RunDirError(
        "E0724",
        f"`{run.path / 'checkpoint.npz'}` is damaged: {what}",
        "begin the run anew; `netdsl eval` may still load its weights",
    )
