"""The run directory: everything needed to repeat, continue, judge and draw a run.

    spec.net          the spec as it was run
    params.json       resolved parameters, seed, options
    versions.json     versions of Python and of the libraries
    model.json        what pictures need: populations, projections, units
    metrics.jsonl     one JSON object per logged row; metrics.csv is the same as a table
    weights.npz       the last weights; best.npz the best ones
    recordings.npz    recorded variables
    readouts.npz      readouts of a protocol without data
    checkpoint.npz    full state and counters, to continue from
    sources/          the spec and the files that it uses, if it uses any

All files but the metrics are replaced in one step; metrics grow by whole lines.
"""

from __future__ import annotations

import datetime
import json
import os
import platform
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from netdsl.files.reading import read_text
from netdsl.runtime.archive import Arrays, write_npz
from netdsl.runtime.atomic import write_text
from netdsl.runtime.errors import RunDirError
from netdsl.runtime.metrics_log import MetricsLog, jsonable, read_metrics
from netdsl.runtime.state_file import read_state

_COUNTERS = "__counters__"
_MAIN = ".main"  # says which file of `sources` is the spec
_LIBRARIES = ("numpy", "scipy", "scikit-learn", "cupy")


class RunDir:
    """One run's folder. Use ``create`` for a new run and ``open`` for one that exists."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._log: MetricsLog | None = None

    @classmethod
    def create(cls, base: Path, name: str, now: datetime.datetime | None = None) -> RunDir:
        """Make ``base``/<name>-<time>, -2, -3, ... added if taken. Raises RunDirError E0723."""
        stamp = (now or datetime.datetime.now()).strftime("%Y%m%d-%H%M%S")
        stem = f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', name).strip('.') or 'run'}-{stamp}"
        count = 1
        while True:
            path = base / (stem if count == 1 else f"{stem}-{count}")
            try:
                # The folder itself is the lock: of two processes one gets FileExistsError.
                path.mkdir(parents=True)
                return cls(path)
            except FileExistsError:
                if not path.is_dir():
                    raise _cannot_make(path, "something else has this name") from None
                count += 1
            except OSError as fault:
                raise _cannot_make(path, str(fault.strerror)) from None

    @classmethod
    def open(cls, path: Path) -> RunDir:
        """The run directory at ``path``. Raises RunDirError E0720 if there is none."""
        if not path.is_dir():
            raise RunDirError(
                "E0720",
                f"run directory `{path}` does not exist",
                "`netdsl run` prints where it saves",
            )
        if not (path / "spec.net").exists():
            raise RunDirError(
                "E0720",
                f"`{path}` is no run directory: it has no spec.net",
                "name a folder of `runs/`",
            )
        return cls(path)

    def write_spec(self, text: str) -> None:
        """Store the spec's text."""
        write_text(self.path / "spec.net", text)

    def spec(self) -> str:
        """The text of the spec that was run."""
        return self._read_text("spec.net")

    def write_sources(self, name: str, texts: Mapping[str, str]) -> None:
        """Store a spec, `name`, that uses other files: `texts` by path from its folder."""
        for place, text in texts.items():
            path = self.path / "sources" / place
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as fault:
                raise _cannot_make(path.parent, str(fault.strerror)) from None
            write_text(path, text)
        write_text(self.path / "sources" / _MAIN, name + "\n")

    def spec_path(self) -> Path:
        """The spec to compile: spec.net, or its copy beside the files that it uses."""
        if not (self.path / "sources" / _MAIN).exists():
            return self.path / "spec.net"
        return self.path / "sources" / Path(self._read_text(f"sources/{_MAIN}").strip()).name

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep the folder for this process. The system lets go of it when the process ends, in
        whatever way. Raises RunDirError E0760 while another process has it."""
        try:
            import fcntl
        except ImportError:  # Windows has no such locks
            yield
            return
        handle = os.open(self.path, os.O_RDONLY)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise RunDirError(
                    "E0760",
                    f"another process is running in `{self.path}`",
                    "wait for it to end, or stop it; then continue the run",
                ) from None
            except OSError:  # a file system without locks
                pass
            for left in self.path.glob(".*.tmp"):  # of a process that was killed
                left.unlink(missing_ok=True)
            yield
        finally:
            os.close(handle)

    def write_params(self, params: Mapping[str, Any]) -> None:
        """Store resolved parameters and options (numbers, text, lists, nested mappings)."""
        self._write_json("params.json", params)

    def params(self) -> dict[str, Any]:
        """The resolved parameters."""
        return self._read_json("params.json")

    def write_versions(self, extra: Mapping[str, Any] | None = None) -> None:
        """Store the versions of Python and the libraries, and ``extra``."""
        self._write_json("versions.json", {**library_versions(), **(extra or {})})

    def versions(self) -> dict[str, Any]:
        """What ``write_versions`` stored, or {}."""
        return self._read_json("versions.json") if (self.path / "versions.json").exists() else {}

    def write_model(self, model: Mapping[str, Any]) -> None:
        """Store what pictures need.

        ``populations``: name -> {"axes": {axis: size}}; ``projections``: name -> {"pre", "post"},
        with {"window": [rows, columns, channels]} where a kernel is shared;
        ``dt``: number and ``dt_unit``: text, of a step.
        """
        self._write_json("model.json", model)

    def model(self) -> dict[str, Any]:
        """What ``write_model`` stored, or {}."""
        return self._read_json("model.json") if (self.path / "model.json").exists() else {}

    def log(self, row: Mapping[str, Any]) -> None:
        """Append one row of metrics, such as {"epoch": 1, "split": "dev", "accuracy": 0.9}."""
        if self._log is None:
            self._log = MetricsLog(self.path)
        self._log.append(row)

    def metrics(self) -> list[dict[str, Any]]:
        """All logged rows; a last line that a crash cut off is left out."""
        return read_metrics(self.path / "metrics.jsonl")

    def save_weights(self, state: Arrays, best: bool = False) -> None:
        """Store weights and other parameters by path, such as ``W1.w``; ``best`` into best.npz."""
        write_npz(self.path / ("best.npz" if best else "weights.npz"), state)

    def weights(self, best: bool = False) -> Arrays:
        """The last or the best weights. Raises RunDirError E0720 or E0724."""
        return read_state(self.path / ("best.npz" if best else "weights.npz"))

    def save_recordings(self, recordings: Arrays) -> None:
        """Store recorded variables.

        ``P.x`` is (steps, samples, units); ``P.rate`` (samples, units); ``label`` (samples,).
        """
        write_npz(self.path / "recordings.npz", recordings)

    def save_readouts(self, readouts: Arrays) -> None:
        """Store what the readouts of a protocol without data were in the end."""
        write_npz(self.path / "readouts.npz", readouts)

    def recordings(self) -> Arrays:
        """Recorded variables, or {} if nothing was recorded."""
        path = self.path / "recordings.npz"
        return read_state(path) if path.exists() else {}

    def save_checkpoint(self, state: Arrays, counters: Mapping[str, Any]) -> None:
        """Store state and counters (JSON values) in one file, so that they always fit together."""
        text = json.dumps(jsonable(dict(counters)))
        write_npz(self.path / "checkpoint.npz", {**state, _COUNTERS: np.array(text)})

    def checkpoint(self) -> tuple[Arrays, dict[str, Any]] | None:
        """State and counters to continue from; None without a checkpoint. Raises E0724."""
        path = self.path / "checkpoint.npz"
        if not path.exists():
            return None
        state = read_state(path)
        if _COUNTERS not in state:
            raise RunDirError("E0724", f"`{path}` has no counters, so it is not a checkpoint")
        return state, self._object("checkpoint.npz", str(state.pop(_COUNTERS)))

    def epoch(self, best: bool = False) -> int:
        """The epoch (0-based) of the last or the best weights; 0 without a checkpoint."""
        found = self.checkpoint()
        if found is None:
            return 0
        try:
            counters = found[1]
            return int(counters["place"].get("kept_at", 0) if best else counters["host"]["epoch"])
        except (KeyError, TypeError, ValueError, AttributeError):
            raise RunDirError(
                "E0724", f"`{self.path / 'checkpoint.npz'}` is damaged: it names no epoch"
            ) from None

    def truncate_metrics(self, rows: int) -> None:
        """Keep the first ``rows`` rows: what was logged after a checkpoint is logged anew."""
        self._log = MetricsLog(self.path, keep=rows)

    def _write_json(self, name: str, value: Mapping[str, Any]) -> None:
        write_text(self.path / name, json.dumps(jsonable(dict(value)), indent=2) + "\n")

    def _read_text(self, name: str) -> str:
        try:
            return read_text(self.path / name)
        except OSError as fault:
            raise RunDirError(
                "E0720", f"cannot read `{self.path / name}`: {fault.strerror}"
            ) from None
        except UnicodeDecodeError:
            raise RunDirError("E0724", f"`{self.path / name}` is not UTF-8 text") from None

    def _read_json(self, name: str) -> dict[str, Any]:
        return self._object(name, self._read_text(name))

    def _object(self, name: str, text: str) -> dict[str, Any]:
        try:
            value = json.loads(text)
        except json.JSONDecodeError as fault:
            raise RunDirError(
                "E0724", f"`{self.path / name}` is damaged: {fault.msg} in line {fault.lineno}"
            ) from None
        except (RecursionError, ValueError):
            raise RunDirError("E0724", f"`{self.path / name}` is damaged: not JSON") from None
        if not isinstance(value, dict):
            raise RunDirError("E0724", f"`{self.path / name}` is damaged: it holds no object")
        return value


def library_versions() -> dict[str, str]:
    """Versions of Python, the machine and the libraries that are installed."""
    from netdsl import __version__

    found = {"python": platform.python_version(), "platform": platform.platform()}
    found["netdsl"] = __version__
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _cannot_make(path: Path, reason: str) -> RunDirError:
    return RunDirError(
        "E0723",
        f"cannot make the run directory `{path}`: {reason}",
        "choose another folder for runs, or check its rights",
    )
