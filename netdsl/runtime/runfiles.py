"""What a run writes into its directory besides metrics: its description and its checkpoints."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from netdsl.ir.protocol import Protocol, at
from netdsl.ir.windows import Windows
from netdsl.runtime.archive import Arrays
from netdsl.runtime.engine import Interpreter, Place
from netdsl.runtime.errors import RunDirError
from netdsl.runtime.members import Found
from netdsl.runtime.memories import saved, taken
from netdsl.runtime.record import companions, require_same, write_record
from netdsl.runtime.recorder import Recording
from netdsl.runtime.rundir import RunDir
from netdsl.runtime.session import Session
from netdsl.runtime.state_file import check_state
from netdsl.runtime.whole import PER_SAMPLE

if TYPE_CHECKING:
    from netdsl.runtime.model import Model
    from netdsl.runtime.training import Settings

_KEYS = "run/keys"
_KEPT = "kept/"
_TAKEN = "record/"


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
        **({} if network.ensemble is None else {"members": network.ensemble.count}),
        "dt": 1.0 if dt is None else dt * 1e3,
        "dt_unit": "step" if dt is None else "ms",
    }


def _window(windows: Windows | None) -> dict[str, Any]:
    """What a kernel sees at a place: rows, columns and channels."""
    if windows is None or windows.still:
        return {}
    return {"window": [*windows.kernel, 1 if windows.depthwise else windows.channels]}


def save_checkpoint(
    run: RunDir,
    session: Session,
    interpreter: Interpreter,
    rows: int,
    identity: Mapping[str, Any],
    taken: Mapping[str, Any],
) -> None:
    """Store everything that continuing needs, in one file; `identity` says of which run, `taken` is
    what has been recorded."""
    arrays = session.lasting()
    arrays |= {_KEYS: session.keys, **saved(session.memories)}
    for name, values in interpreter.kept.items():
        arrays.update({f"{_KEPT}{name}/{path}": np.asarray(v) for path, v in values.items()})
    arrays.update({f"{_TAKEN}{name}": value for name, value in taken.items()})
    place = interpreter.place.to_json() | {"draws": session.draws}
    choices = {session.executor.name: session.executor.choices()}
    counters = {"place": place, "host": session.host, "metric_rows": rows, "choices": choices}
    counters["started"] = session.started
    run.save_checkpoint(arrays, counters | {"identity": identity})


def load_checkpoint(
    run: RunDir,
    session: Session,
    protocol: Protocol,
    identities: tuple[Mapping[str, Any] | None, Mapping[str, Any]],
    recording: Recording | None = None,
) -> tuple[Place, dict[str, Arrays], int]:
    """Put a checkpoint back: where it was, the parameters kept, and the rows of metrics logged.

    Without a checkpoint, nothing was learnt yet: the start. `identities`: the run's as recorded,
    and the present one. Raises RunDirError E0722 when the checkpoint is of another network, E0761
    when it is of another run, E0724 when it is damaged.
    """
    recorded, identity = identities
    found = run.checkpoint()
    if found is None:
        require_same(run, recorded, identity)
        return Place(), {}, 0
    arrays, counters = found
    keys, kept = arrays.pop(_KEYS, np.zeros(0)), _kept(arrays)
    names = [name for name in arrays if name.startswith(_TAKEN)]
    held = {name.removeprefix(_TAKEN): arrays.pop(name) for name in names}
    for name in session.step_counters:  # a run with data may have saved none
        arrays.setdefault(name, np.zeros_like(session.executor.read(name)))
    try:
        memories = taken(arrays, session.network)
    except (ValueError, TypeError) as fault:
        raise _damaged(run, fault) from None
    rows = _require_network(run, session, arrays)
    own = counters.get("identity", {})
    if not isinstance(own, dict):
        raise _damaged(run, "it does not say of which run it is")
    require_same(run, recorded, identity)
    require_same(run, own, identity)
    try:
        place = _place(counters["place"], protocol, session.network.protocols)
        host = {path: _number(value) for path, value in counters["host"].items()}
        metric_rows = _whole(counters["metric_rows"])
        for counter in (host["epoch"], host.get("iteration", 0.0)):
            _whole(int(counter))
        started = _whole(counters["started"])
        choices = counters["choices"].get(session.executor.name, {})
        choices = {what: [_whole(number) for number in held] for what, held in choices.items()}
        session.executor.choose(choices)
        if recording is not None:
            recording.restore(held)
        if keys.dtype != np.uint64 or keys.ndim != 1 or not all(len(keys) <= n for n in rows):
            raise ValueError("its rows do not fit together")
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as fault:
        raise _damaged(run, fault) from None
    _require_room(run, session, len(keys))
    shapes = {path: value.shape for path, value in session.parameters().items()}
    for name, values in kept.items():
        check_state(values, shapes, f"`{name}` of the checkpoint of `{run.path}`")
    session.restore(arrays, keys)
    session.started, session.memories = started, memories
    for path, value in host.items():
        session.set_host(path, value)
    # Again, since a change of the rows present makes kernels choose anew.
    session.executor.choose(choices)
    session.draws = dict(place.draws)
    return place, kept, metric_rows


def _place(held: Mapping[str, Any], protocol: Protocol, protocols: Mapping[str, Protocol]) -> Place:
    """The place that a checkpoint names; TypeError or ValueError where there is none."""
    place = Place(**held)
    numbers = (place.loops, place.batches, place.earlier, place.kept_at, *place.draws.values())
    if not all(_whole(number) == number for number in numbers):
        raise ValueError("a counter is no number")
    position = place.position
    if not isinstance(position, list) or at(position, protocol.body, protocols) is None:
        raise ValueError(f"protocol `{protocol.name}` has no place {place.position}")
    place.best = {name: _found(value) for name, value in place.best.items()}
    place.results = {
        label: {name: _found(value) for name, value in metrics.items()}
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


def _found(value: Any) -> Found:
    """A metric, of an ensemble a list."""
    return np.array([_number(v) for v in value]) if isinstance(value, list) else _number(value)


def _kept(arrays: Arrays) -> dict[str, Arrays]:
    """Take the parameters that `checkpoint NAME` kept out of `arrays`."""
    kept: dict[str, Arrays] = {}
    for key in [key for key in arrays if key.startswith(_KEPT)]:
        name, _, path = key[len(_KEPT) :].partition("/")
        kept.setdefault(name, {})[path] = arrays.pop(key)
    return kept


def _require_network(run: RunDir, session: Session, arrays: Arrays) -> set[int]:
    """The checkpoint has exactly this network's buffers; the numbers of rows that they have, which
    should be one, but may be another than here."""
    own = {name: value.shape for name, value in session.lasting().items()}
    odd = sorted(set(arrays) ^ set(own))
    rows: set[int] = set()
    for name, shape in own.items():
        held = arrays.get(name)
        if held is None:
            continue
        buffer = session.program.buffers[name]
        # That of the samples, where there are some.
        axis = int(buffer.slots > 1) + session.executor.lead(name)
        fitting = held.ndim == len(shape)
        if fitting and buffer.place in PER_SAMPLE:
            rows.add(held.shape[axis])
            shape = (*shape[:axis], held.shape[axis], *shape[axis + 1 :])
        if held.shape != shape or held.dtype.kind not in "biuf":
            odd.append(name)
    if odd:
        raise RunDirError(
            "E0722",
            f"the checkpoint of `{run.path}` is of another network: `{odd[0]}` differs",
            "continue with the run directory's own spec.net and settings",
        )
    if len(rows) > 1:
        raise _damaged(run, "its rows do not fit together")
    return rows


def _require_room(run: RunDir, session: Session, present: int) -> None:
    room = session.executor.capacity
    if present > room:
        raise RunDirError(
            "E0722",
            f"the checkpoint of `{run.path}` holds {present} samples, and there is room for {room}",
            "continue with the run's own batch sizes",
        )


def _damaged(run: RunDir, what: object) -> RunDirError:
    return RunDirError(
        "E0724",
        f"`{run.path / 'checkpoint.npz'}` is damaged: {what}",
        "begin the run anew; `netdsl eval` may still load its weights",
    )
