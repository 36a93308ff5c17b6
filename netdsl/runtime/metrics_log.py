"""Metrics of a run: JSON lines that grow as the run goes, and the same as a CSV table."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from netdsl.files.reading import open_regular
from netdsl.runtime.atomic import write_text
from netdsl.runtime.errors import RunDirError


class MetricsLog:
    """Appends rows to metrics.jsonl and metrics.csv in ``folder``.

    On opening, a line that a crash cut off is removed; ``keep`` limits the rows that stay.
    Raises RunDirError E0723 if the files cannot be written.
    """

    def __init__(self, folder: Path, keep: int | None = None) -> None:
        self._lines, self._table = folder / "metrics.jsonl", folder / "metrics.csv"
        rows = read_metrics(self._lines)[:keep]
        self._columns: list[str] = []
        for row in rows:
            self._columns += [key for key in row if key not in self._columns]
        if self._lines.exists():
            write_text(self._lines, "".join(json.dumps(row) + "\n" for row in rows))
            write_text(self._table, table_text(self._columns, rows))

    def append(self, row: Mapping[str, Any]) -> None:
        """Add one row; a new column makes the table be written anew."""
        plain = jsonable(dict(row))
        new = [key for key in plain if key not in self._columns]
        self._grow(self._lines, json.dumps(plain) + "\n")
        self._columns += new
        if new:
            write_text(self._table, table_text(self._columns, read_metrics(self._lines)))
        else:
            self._grow(self._table, _csv_lines([[_cell(plain.get(k)) for k in self._columns]]))

    def _grow(self, path: Path, text: str) -> None:
        size = path.stat().st_size if path.exists() else 0
        try:
            with path.open("ab") as stream:
                stream.write(text.encode())
        except OSError as fault:
            # A full disk may have taken half a line; the rows before it stay readable.
            _shorten(path, size)
            raise RunDirError(
                "E0723",
                f"cannot write `{path}`: {fault.strerror}; the rows before are kept",
                "free some space, then continue the run from its checkpoint",
            ) from fault


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Rows of a metrics.jsonl; [] without the file. A missing value (NaN) reads as NaN.

    Raises RunDirError E0720 if it cannot be read, E0724 if a line other than an unfinished last one
    is damaged.
    """
    if not path.exists():
        return []
    try:
        with open_regular(path) as stream:
            lines = stream.read().decode("utf-8", errors="replace").split("\n")
    except OSError as fault:
        raise RunDirError("E0720", f"cannot read `{path}`: {fault.strerror}") from None
    rows = []
    for number, line in enumerate(lines[:-1], 1):
        try:
            rows.append({k: math.nan if v is None else v for k, v in json.loads(line).items()})
        except (json.JSONDecodeError, AttributeError):
            raise RunDirError("E0724", f"line {number} of `{path}` is damaged") from None
    return rows


def table_text(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows as CSV with a header; what a row lacks is an empty cell."""
    body = [[_cell(row.get(key)) for key in columns] for row in rows]
    return _csv_lines([list(columns), *body])


def jsonable(value: Any) -> Any:
    """``value`` with NumPy numbers and arrays, paths, NaN and infinity made fit for JSON."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [jsonable(item) for item in value]
    if isinstance(value, np.ndarray):
        return jsonable(value.tolist())
    if isinstance(value, np.generic):
        return jsonable(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    return str(value)


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(_cell(item) for item in value)
    missing = value is None or (isinstance(value, float) and math.isnan(value))
    return "" if missing else str(value)


def _csv_lines(rows: Sequence[Sequence[str]]) -> str:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue()


def _shorten(path: Path, size: int) -> None:
    try:
        with path.open("r+b") as stream:
            stream.truncate(size)
    except OSError:
        pass
