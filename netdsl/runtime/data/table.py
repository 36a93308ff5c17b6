"""CSV tables: a header, a column ``label``, and every other column one pixel of the image."""

from __future__ import annotations

import io
import os
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.files.reading import open_regular
from netdsl.runtime.data.files import FLOAT_BYTES, cannot_open, require_room
from netdsl.runtime.errors import DataError

_CELL_BYTES = 8 + FLOAT_BYTES
_MOST_HEADER = 1 << 24
_PIECE = 1 << 20
_CELL = re.compile(r"could not convert .* at row (?P<row>\d+), column (?P<column>\d+)", re.DOTALL)
_COLUMNS = re.compile(r"the number of columns changed from \d+ to \d+ at row \d+")


def load_csv(path: Path) -> dict[str, dict[str, NDArray[Any]]]:
    """Raw arrays of one table (split ``train``), or of train.csv, dev.csv, test.csv in a folder.

    Returns split -> field -> array; ``image`` is float32 with the values as written.
    Raises DataError E0702 or E0708.
    """
    if not path.is_dir():
        return {"train": read_table(path)}
    files = ((name, path / f"{name}.csv") for name in ("train", "dev", "test"))
    return {name: read_table(file) for name, file in files if file.exists()}


def read_table(path: Path) -> dict[str, NDArray[Any]]:
    """``image`` (n, columns) float32 and, if the file has it, ``label`` (n,) of one CSV file.

    Raises DataError E0702 if it cannot be opened, E0708 if a line is malformed, E0750 if it is no
    regular file, E0751 if it does not fit into memory.
    """
    header, values = read_columns(path)
    pixels = [i for i, name in enumerate(header) if name != "label"]
    fields: dict[str, NDArray[Any]] = {}
    if pixels:
        fields["image"] = values[:, pixels].astype(np.float32)
    if "label" in header:
        fields["label"] = values[:, header.index("label")]
    return fields


def read_columns(path: Path) -> tuple[list[str], NDArray[np.float64]]:
    """The names of a table's columns, and its numbers (rows, columns). Raises as `read_table`."""
    header, rows = _survey(path)
    require_room(path, rows * len(header) * _CELL_BYTES)
    try:
        # The loader reports bad cells as ValueError with row and column, and is written in C.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a table without rows is refused with its split
            values = np.loadtxt(
                path,
                delimiter=",",
                comments=None,
                quotechar='"',
                skiprows=1,
                ndmin=2,
                encoding="utf-8",
            )
    except ValueError as fault:
        raise DataError(
            "E0708",
            f"table `{path}`: {_reason(str(fault))} (rows are counted from 0 below the header)",
            "every cell must be a number, and every line as long as the header",
        ) from None
    if values.size and values.shape[1] != len(header):
        raise DataError(
            "E0708",
            f"table `{path}` has {len(header)} names in its header and {values.shape[1]} columns",
            "the first line must name every column",
        )
    return header, values.reshape(-1, len(header))


def _reason(said: str) -> str:
    """What NumPy found, without the text of the cell: the file may be none of ours."""
    if match := _CELL.search(said):
        return f"the cell in row {match['row']}, column {match['column']} is not a number"
    if match := _COLUMNS.search(said):
        return match[0]
    return "it is not made of numbers"


def _survey(path: Path) -> tuple[list[str], int]:
    """Names of the columns, and at most how many rows there are."""
    try:
        with open_regular(path) as stream:
            require_room(path, os.fstat(stream.fileno()).st_size)
            ends = 0
            while piece := stream.read(_PIECE):
                ends += piece.count(b"\n") + piece.count(b"\r")
            stream.seek(0)
            line = io.TextIOWrapper(stream, encoding="utf-8-sig").readline(_MOST_HEADER)
            names = [name.strip().strip('"') for name in line.split(",")]
    except OSError as fault:
        raise cannot_open(path, fault) from None
    except UnicodeDecodeError as fault:
        raise DataError("E0708", f"table `{path}` is not UTF-8 (byte {fault.start})") from None
    if len(line) == _MOST_HEADER:
        raise DataError("E0708", f"table `{path}` has no header: its first line does not end")
    if all(_is_number(name) for name in names):
        raise DataError(
            "E0708",
            f"table `{path}` has no header",
            "name the columns in the first line; the class goes into a column `label`",
        )
    return names, ends


def _is_number(text: str) -> bool:
    try:
        float(text or "0")
    except ValueError:
        return False
    return True
