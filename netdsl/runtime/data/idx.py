"""IDX files, the format of MNIST and its relatives, plain or gzip.

The header is two zero bytes, a type code, the number of axes, and one big-endian uint32 per axis;
the elements follow, big-endian.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.runtime.data.files import FLOAT_BYTES, Opened, open_data, require_room
from netdsl.runtime.errors import DataError

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_NAME = re.compile(
    r"(?P<prefix>.*?)(?P<split>train|t10k|test)[-_.]images?[-_.]idx3[-_.]ubyte(\.gz)?"
)


def read_idx(path: Path) -> NDArray[Any]:
    """The array in an IDX file, in native byte order.

    Raises DataError E0702 (missing), E0703 (magic), E0704 (length), E0705 (gzip), E0750 (no file)
    or E0751 (memory).
    """
    with open_data(path) as file:
        dtype, shape = _header(path, file)
        # Python integers: a damaged header may name sizes whose product overflows 64 bits.
        wanted = dtype.itemsize * math.prod(shape)
        if wanted <= file.longest:
            require_room(path, wanted + FLOAT_BYTES * math.prod(shape))
        raw = file.read(wanted + 1) if wanted <= file.longest else b""
    if len(raw) != wanted:
        kind, held = "truncated", f"{len(raw)} bytes"
        if len(raw) > wanted:
            kind, held = "too long", "more"
        elif wanted > file.longest:
            held = f"at most {file.longest} bytes"
        raise DataError(
            "E0704",
            f"IDX file `{path}` is {kind}: its header promises {' x '.join(map(str, shape))}"
            f" elements ({wanted} bytes), it holds {held}",
            "it was probably cut off or joined while being copied; fetch it again",
        )
    array = np.frombuffer(raw, dtype).reshape(shape) if wanted else np.zeros(shape, dtype)
    return array.astype(dtype.newbyteorder("="), copy=False)


def _header(path: Path, file: Opened) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Type and shape of the elements that follow."""
    start = file.read(4)
    if len(start) < 4 or start[0] or start[1] or start[2] not in _TYPES or not 0 < start[3] <= 32:
        raise DataError(
            "E0703",
            f"`{path}` is not an IDX file: it does not begin as one",
            "an IDX file starts with 00 00, a type code (08 for bytes) and the number of axes",
        )
    axes = start[3]
    sizes = file.read(4 * axes)
    if len(sizes) < 4 * axes:
        raise DataError("E0704", f"IDX file `{path}` ends inside its header", "fetch it again")
    return np.dtype(_TYPES[start[2]]), tuple(int(n) for n in np.frombuffer(sizes, ">u4"))


def find_idx(folder: Path) -> dict[str, tuple[Path, Path | None]]:
    """Image and label file of each split in ``folder``: {"train": (images, labels), ...}.

    Names are those of MNIST, ``train-images-idx3-ubyte`` and ``t10k-...``, also with dots, a
    prefix or ``.gz``. Raises DataError E0712 if two files would be the same split.
    """
    found: dict[str, tuple[Path, Path | None]] = {}
    for path in sorted(folder.iterdir()):
        match = _NAME.fullmatch(path.name)
        if not match:
            continue
        split = "train" if match["split"] == "train" else "test"
        if split in found and not _same_but_packed(found[split][0], path):
            raise DataError(
                "E0712",
                f"`{folder}` holds two sets of {split} images:"
                f" `{found[split][0].name}` and `{path.name}`",
                "keep one data set per folder, or name the image file itself",
            )
        found.setdefault(split, (path, _label_file(path)))
    return found


def load_idx(path: Path) -> dict[str, dict[str, NDArray[Any]]]:
    """Raw arrays of a folder of IDX files, or of one image file with the labels beside it.

    Returns split -> field -> array, or {} if the folder has no IDX files.
    """
    pairs = find_idx(path) if path.is_dir() else {_split_of(path): (path, _label_file(path))}
    raw: dict[str, dict[str, NDArray[Any]]] = {}
    for split, (images, labels) in pairs.items():
        raw[split] = {"image": read_idx(images)}
        if raw[split]["image"].ndim < 2:
            raise DataError("E0703", f"`{images}` holds no images but a single row of numbers")
        if labels is not None:
            raw[split]["label"] = read_idx(labels)
    return raw


def _split_of(path: Path) -> str:
    match = _NAME.fullmatch(path.name)
    return "test" if match and match["split"] != "train" else "train"


def _same_but_packed(first: Path, second: Path) -> bool:
    return first.name.removesuffix(".gz") == second.name.removesuffix(".gz")


def _label_file(images: Path) -> Path | None:
    """The label file beside an image file, packed or not; None if there is none."""
    plain = images.name.removesuffix(".gz").replace("image", "label").replace("idx3", "idx1")
    if plain == images.name.removesuffix(".gz"):
        return None
    for name in (plain, plain + ".gz"):
        if (images.parent / name).exists():
            return images.parent / name
    return None
