"""Models of run directories, and what the command line changes of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def open_run(
    run: Path,
    backend: str = "auto",
    data: Mapping[str, str] | None = None,
    *,
    spec: str | None = None,
    sets: Mapping[str, str] | None = None,
    **given: Any,
) -> Any:
    """The model of a run directory, with the run's spec, parameters, data, backend and number type
    where none are given; `given` may name `dtype`, `seed`, `form`, `keep` and options of the
    backend."""
    import netdsl
    from netdsl.runtime.record import Record
    from netdsl.runtime.rundir import RunDir

    held = RunDir.open(run)
    record = Record.read(held)
    own = spec is None or Path(spec).resolve() == (held.path / "spec.net").resolve()
    chosen = record.backend if backend == "auto" else backend
    options = dict(record.options or {}) if chosen == record.backend else {}
    return netdsl.compile(
        held.spec_path() if own or spec is None else spec,
        chosen,
        set={**record.set, **(sets or {})},
        data={**record.data, **(data or {})},
        **{"dtype": record.dtype, "seed": record.seed, "form": record.form, **options, **given},
    )
