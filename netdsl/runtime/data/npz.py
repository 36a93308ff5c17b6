"""NPZ archives: arrays by name, never pickled objects."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from netdsl.runtime.archive import ArchiveError, TooLarge, read_npz
from netdsl.runtime.data.files import FLOAT_BYTES, cannot_open
from netdsl.runtime.errors import DataError

# Names under which archives in the wild keep the same things.
_FIELDS = {"x": "image", "images": "image", "y": "label", "labels": "label"}
_SPLITS = {"valid": "dev", "val": "dev"}
_SPLIT_FIRST = re.compile(r"(train|test|dev|valid|val)_(\w+)")
_SPLIT_LAST = re.compile(r"(x|y|image|images|label|labels)_(train|test|dev|valid|val)")


def load_npz(path: Path) -> dict[str, dict[str, NDArray[Any]]]:
    """Raw arrays of an NPZ archive: split -> field -> array.

    Keys are ``train_image``, ``test_label`` and so on; a key without a split belongs to ``train``.
    Keys of other kinds of array (text, single numbers) are passed over.
    Raises DataError E0702 if it cannot be opened, E0709 if it is damaged, pickled or empty, E0750
    if it is no regular file, E0751 if it does not fit into memory.
    """
    raw: dict[str, dict[str, NDArray[Any]]] = {}
    for key, array in _read_archive(path).items():
        if array.dtype.kind not in "biuf" or array.ndim == 0:
            continue
        split, name = _place(key)
        raw.setdefault(split, {})[name] = array
    if not raw:
        raise DataError(
            "E0709",
            f"NPZ archive `{path}` holds no numeric arrays",
            "save arrays named train_image, train_label, test_image, test_label",
        )
    return raw


def _place(key: str) -> tuple[str, str]:
    if match := _SPLIT_FIRST.fullmatch(key):
        split, name = match[1], match[2]
    elif match := _SPLIT_LAST.fullmatch(key):
        split, name = match[2], match[1]
    else:
        split, name = "train", key
    return _SPLITS.get(split, split), _FIELDS.get(name, name)


def _read_archive(path: Path) -> dict[str, NDArray[Any]]:
    try:
        return read_npz(path, beside=FLOAT_BYTES)
    except OSError as fault:
        raise cannot_open(path, fault) from None
    except TooLarge as fault:
        raise DataError(
            "E0751", f"`{path}` is too large: {fault}", "keep fewer samples in the archive"
        ) from None
    except ArchiveError as fault:
        raise DataError(
            "E0709",
            f"`{path}` is not a sound NPZ archive: {fault}",
            "save it anew with np.savez, as plain numbers",
        ) from None
