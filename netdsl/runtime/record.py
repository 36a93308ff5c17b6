"""The record of a run, params.json: what it was asked to do, and whether it may go on as asked now.

A run that goes on must be the same experiment: spec, parameters, seed, number type, data, protocol
and limit. More epochs, another backend and other versions are allowed, said and noted.
"""

from __future__ import annotations

import datetime
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netdsl.runtime.errors import RunDirError
from netdsl.runtime.metrics_log import jsonable
from netdsl.runtime.rundir import RunDir, library_versions

if TYPE_CHECKING:
    from netdsl.runtime.model import Model
    from netdsl.runtime.training import Settings

_WORDS = {"limit": "--limit", "params": "parameters", "set": "--set", "dtype": "number type"}
_OWN = "the protocol's own number"
_REQUIRED = ("set", "data", "seed", "dtype", "backend", "epochs", "limit")


@dataclass(frozen=True)
class Record:
    """The fields of params.json that decide how a run goes on or is judged.

    `set`, `data`: `--set` values and files by name; `options`: of the backend; `form`:
    that rules were asked to run in; `identity`: see `identity_of`; `resumed`: when it was taken up
    again, and what had changed.
    """

    set: Mapping[str, Any]
    data: Mapping[str, str]
    seed: int
    dtype: str
    backend: str
    epochs: int | None
    limit: int | None
    protocol: str = "train"
    form: str = "auto"
    options: Mapping[str, Any] | None = None
    identity: Mapping[str, Any] | None = None
    resumed: Sequence[Any] = ()

    @classmethod
    def read(cls, run: RunDir) -> Record:
        """The record of a run. Raises RunDirError E0720 without one, E0724 where it is damaged."""
        held = run.params()
        for name in _REQUIRED:
            if name not in held:
                raise _damaged(run, f"`{name}` is missing")
        found = {field.name: held[field.name] for field in fields(cls) if field.name in held}
        for name, value in found.items():
            if not _KINDS[name](value):
                raise _damaged(run, f"`{name}` cannot be {str(value)[:40]!r}")
        return cls(**found)


def _is_map(value: object) -> bool:
    return isinstance(value, dict)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_count(value: object) -> bool:
    return value is None or (isinstance(value, int) and _is_whole(value) and value >= 0)


_KINDS: dict[str, Callable[[Any], bool]] = {
    "set": lambda v: _is_map(v) and all(isinstance(x, (str, int, float)) for x in v.values()),
    "data": lambda v: _is_map(v) and all(map(_is_text, v.values())),
    "seed": _is_whole,
    "dtype": _is_text,
    "backend": _is_text,
    "epochs": _is_count,
    "limit": _is_count,
    "protocol": _is_text,
    "form": _is_text,
    "options": lambda v: v is None or _is_map(v),
    "identity": lambda v: v is None or _is_map(v),
    "resumed": lambda v: isinstance(v, list),
}


def write_record(run: RunDir, model: Model, settings: Settings) -> None:
    """Write params.json for a run that begins."""
    run.write_params(
        {
            "name": model.network.name,
            "source": model.network.source,
            "params": dict(model.network.params),
            "set": model.overrides,
            "data": model.places(),
            "seed": model.seed,
            "dtype": model.dtype,
            "backend": model.backend,
            "options": model.options,
            "form": model.form,
            "protocol": settings.protocol,
            "epochs": settings.epochs,
            "limit": settings.limit,
            "identity": identity_of(model, settings),
        }
    )


def identity_of(model: Model, settings: Settings) -> dict[str, Any]:
    """What must be the same when a run goes on, as JSON values; files by their check sums."""
    texts = [model.network.text, *(text for _, text in sorted(companions(model).items()))]
    found = {
        "spec": _sum("\0".join(texts)),
        "params": dict(model.network.params),
        "set": {path: _plain(value) for path, value in sorted(model.overrides.items())},
        "seed": model.seed,
        "dtype": model.dtype,
        "protocol": settings.protocol,
        "limit": settings.limit,
        "data": model.datasets.checksums(),
    }
    made: dict[str, Any] = jsonable(found)
    return made


def companions(model: Model) -> dict[str, str]:
    """Texts of the files that the spec uses, by path from the spec's own folder."""
    own = model.network.source
    beside = Path(own).parent
    return {
        Path(name).relative_to(beside).as_posix(): text
        for name, text in model.sources.items()
        if name != own and Path(name).is_relative_to(beside)
    }


def require_same(run: RunDir, held: Mapping[str, Any] | None, now: Mapping[str, Any]) -> None:
    """Compare two identities. Raises RunDirError E0761 that names the first difference."""
    for name, value in (held or {}).items():
        if value == now.get(name):
            continue
        raise RunDirError(
            "E0761",
            f"the run in `{run.path}` {_difference(name, value, now.get(name))}",
            f"`netdsl run --resume {run.path}` goes on with what it was begun with;"
            " for another experiment, begin a new run",
        )


def require_data(run: RunDir, model: Model, given: Mapping[str, str]) -> None:
    """The data that a run is judged on are those that it had, but for those given by name.

    Raises RunDirError E0761.
    """
    held = (Record.read(run).identity or {}).get("data", {})
    now = model.datasets.checksums()
    for name, found in now.items():
        if name not in given and name in held and held[name] != found:
            raise RunDirError(
                "E0761",
                f"the run in `{run.path}` {_difference('data', {name: held[name]}, now)}",
                f"`--data {name}=PATH` says which data are meant",
            )


def _difference(name: str, held: Any, now: Any) -> str:
    if name == "spec":
        return "was begun with another text of the spec or of a file that it uses"
    if name == "data" and isinstance(held, dict) and isinstance(now, dict):
        odd = [key for key in held if held[key] != now.get(key)]
        return f"was begun with other data than `{(odd or list(now) or ['?'])[0]}` has now"
    if isinstance(held, dict) and isinstance(now, dict):
        for key in (*held, *now):
            if held.get(key) != now.get(key):
                word = _WORDS.get(name, name)
                return f"has `{key}` = {held.get(key)} among its {word}, not {now.get(key)}"
    return f"has {_WORDS.get(name, name)} {held}, not {now}"


def note_changes(run: RunDir, record: Record, model: Model, settings: Settings) -> None:
    """Say and record in what a run that goes on differs from how it was begun."""
    before: dict[str, Any] = {
        "epochs": record.epochs,
        "backend": record.backend,
        "form": record.form,
    }
    before["options"] = record.options or {}
    now: dict[str, Any] = {"epochs": settings.epochs, "backend": model.backend, "form": model.form}
    now["options"] = model.options
    versions = run.versions()
    before.update({name: versions[name] for name in versions if name != "backend"})
    now.update({name: value for name, value in library_versions().items() if name in before})
    changed = {name: [old, now.get(name)] for name, old in before.items() if old != now.get(name)}
    for name, (old, new) in changed.items():
        was, now_is = (f"{_OWN if value is None else value}" for value in (old, new))
        print(f"note: {name} was {was} and is {now_is} from here on", file=sys.stderr)
    held = run.params()
    again = {"at": datetime.datetime.now().isoformat(timespec="seconds"), "changed": changed}
    held["resumed"] = [*record.resumed, again]
    held.update({"data": model.places()})
    held.update({name: now[name] for name in ("epochs", "backend", "form", "options")})
    run.write_params(held)
    run.write_versions({"backend": model.backend})


def _plain(value: Any) -> str:
    """One spelling of a `--set` value: `0.10`, 0.1 and "0.1" are one number."""
    try:
        return repr(float(value))
    except (TypeError, ValueError):
        return str(value).strip()


def _sum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"


def _damaged(run: RunDir, what: str) -> RunDirError:
    return RunDirError("E0724", f"`{run.path / 'params.json'}` is damaged: {what}")
