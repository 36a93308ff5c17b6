"""CIFAR-10 and CIFAR-100 in their binary versions, which need no pickle.

A record is one label byte (CIFAR-10) or a coarse and a fine one (CIFAR-100), then 3 x 32 x 32
bytes, channel first; images are handed on as all are: rows, columns, channels.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.runtime.data.files import FLOAT_BYTES, read_all, require_room
from netdsl.runtime.errors import DataError

_SHAPE = (3, 32, 32)
_PIXELS = 3 * 32 * 32
_COPIES = 3 + FLOAT_BYTES  # of the bytes: as they are read, side by side, and channels last


def load_cifar(folder: Path) -> dict[str, dict[str, NDArray[Any]]]:
    """Raw arrays of a folder with either data set; {} if it holds neither.

    Returns split -> field -> array: ``image`` (n, 32, 32, 3) uint8, ``label`` (n,) and, in
    CIFAR-100, ``coarse`` (n,). Raises DataError E0704 if a file does not hold whole records,
    E0750 if it is none, E0751 if they do not fit into memory.
    """
    ten = {"train": sorted(folder.glob("data_batch_*.bin")), "test": [folder / "test_batch.bin"]}
    hundred = {"train": [folder / "train.bin"], "test": [folder / "test.bin"]}
    for splits, labels in ((ten, ("label",)), (hundred, ("coarse", "label"))):
        present = {name: [f for f in files if f.exists()] for name, files in splits.items()}
        if any(present.values()):
            return {name: _join(files, labels) for name, files in present.items() if files}
    return {}


def _join(files: list[Path], labels: tuple[str, ...]) -> dict[str, NDArray[Any]]:
    require_room(files[0].parent, sum(file.stat().st_size for file in files) * _COPIES)
    records = np.concatenate([_records(path, len(labels)) for path in files])
    fields: dict[str, NDArray[Any]] = {
        "image": records[:, len(labels) :].reshape(-1, *_SHAPE).transpose(0, 2, 3, 1),
    }
    for column, name in enumerate(labels):
        fields[name] = records[:, column]
    return fields


def _records(path: Path, label_bytes: int) -> NDArray[np.uint8]:
    raw, size = read_all(path, _COPIES), label_bytes + _PIXELS
    if not raw or len(raw) % size:
        raise DataError(
            "E0704",
            f"`{path}` holds {len(raw)} bytes, which is no multiple of a record's {size}",
            "it is truncated, or not the binary version of the data set; fetch it again",
        )
    return np.frombuffer(raw, np.uint8).reshape(-1, size)
