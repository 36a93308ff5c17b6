"""IDX files, the format of MNIST and its relatives, plain or gzip.

The header is two zero bytes, a type code, the number of axes, and one big-endian uint32 per axis;
the elements follow, big-endian.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.runtime.data.files import read_bytes
from netdsl.runtime.errors import DataError

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_NAME = re.compile(
    r"(?P<prefix>.*?)(?P<split>train|t10k|test)[-_.]images?[-_.]idx3[-_.]ubyte(\.gz)?"
)


def read_idx(path: Path) -> NDArray[Any]:
    """The array in an IDX file, in native byte order.

    Raises DataError E0702 (missing), E0703 (magic), E0704 (length) or E0705 (gzip).
    """
    raw = read_bytes(path)
    if len(raw) < 4 or raw[0] or raw[1] or raw[2] not in _TYPES or not raw[3]:
        raise DataError(
            "E0703",
            f"`{path}` is not an IDX file: it starts with {raw[:4].hex(' ') or 'nothing'}",
            "an IDX file starts with 00 00, a type code (08 for bytes) and the number of axes",
        )
    dtype, axes = np.dtype(_TYPES[raw[2]]), raw[3]
    start = 4 + 4 * axes
    if len(raw) < start:
        raise DataError("E0704", f"IDX file `{path}` ends inside its header", "fetch it again")
    shape = tuple(int(n) for n in np.frombuffer(raw, ">u4", axes, 4))
    # Python integers: a damaged header may name sizes whose product overflows 64 bits.
    wanted = dtype.itemsize
    for size in shape:
        wanted *= size
    if len(raw) - start != wanted:
        kind = "truncated" if len(raw) - start < wanted else "too long"
        raise DataError(
            "E0704",
            f"IDX file `{path}` is {kind}: its header promises {' x '.join(map(str, shape))}"
            f" elements ({wanted} bytes), it holds {len(raw) - start} bytes",
            "it was probably cut off or joined while being copied; fetch it again",
        )
    array = np.frombuffer(raw, dtype, offset=start).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)


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
