"""A split: the samples of one part of a data set, as one array per field."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.runtime.errors import DataError

Array = NDArray[Any]

_BYTE = 255
_MOST_CHANNELS = 4  # of pictures: more stand for axes in another order


@dataclass(frozen=True)
class Split:
    """Samples of one split.

    ``fields`` maps a name to an array whose first axis is the sample: ``image`` (n, pixels)
    float32, ``label`` (n,) int64, and whatever else the source has. ``shapes`` gives the named
    fields' shape before flattening: of an image (rows, columns) or (rows, columns, channels).
    ``classes`` is the number of classes, or None without labels.
    """

    fields: Mapping[str, Array]
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    classes: int | None = None

    @property
    def rows(self) -> int:
        """Number of samples."""
        return len(next(iter(self.fields.values()))) if self.fields else 0

    @property
    def shape_hint(self) -> tuple[int, ...]:
        """Shape of one image before flattening; () without images."""
        if "image" not in self.fields:
            return ()
        return self.shapes.get("image", self.fields["image"].shape[1:])

    def checksum(self, start: int = 0) -> int:
        """A check sum of all that the split holds, going on from that of another one."""
        for name, array in self.fields.items():
            start = zlib.crc32(f"{name}{array.shape}{array.dtype}".encode(), start)
            start = zlib.crc32(np.ascontiguousarray(array).data, start)
        return start

    def field(self, name: str) -> Array:
        """The array of field ``name``. Raises DataError E0711 with the names that exist."""
        if name not in self.fields:
            have = ", ".join(sorted(self.fields)) or "none"
            raise DataError("E0711", f"data has no field `{name}`", f"its fields are: {have}")
        return self.fields[name]

    def slice(self, start: int, stop: int, name: str = "split") -> Split:
        """Samples ``start`` to ``stop - 1``. Raises DataError E0710 outside the split."""
        if not 0 <= start < stop <= self.rows:
            raise DataError(
                "E0710",
                f"slice `{name}[{start}, {stop}]` does not lie in its {self.rows} samples",
                f"use bounds with 0 <= first < last <= {self.rows}",
            )
        parts = {key: array[start:stop] for key, array in self.fields.items()}
        return Split(parts, self.shapes, self.classes)

    def take(self, index: NDArray[np.int64]) -> dict[str, Array]:
        """The samples at ``index`` (B,), as fresh arrays (B, ...)."""
        return {key: array[index] for key, array in self.fields.items()}


def image_axes(split: Split) -> tuple[int, int, int]:
    """Rows, columns and channels of a split's images. Raises DataError E0718 without these axes."""
    shape = split.shape_hint
    if len(shape) not in (2, 3):
        what = " x ".join(map(str, shape)) or "no axes"
        what = f"`image` is {what}" if "image" in split.fields else "these data have no `image`"
        raise DataError(
            "E0718",
            f"{what}, where images of rows and columns are needed",
            "store images as (samples, rows, columns) or (samples, rows, columns, channels)",
        )
    rows, columns, channels = (*shape, 1)[:3]
    if channels > _MOST_CHANNELS >= rows:
        raise DataError(
            "E0718",
            f"images of {rows} x {columns} x {channels} look as if their channels came first",
            "store images as (samples, rows, columns, channels)",
        )
    return rows, columns, channels


def choose_split(
    splits: Mapping[str, Split], name: str, bounds: tuple[int, int] | None = None
) -> Split:
    """The split ``name``, or its slice ``bounds``, as in ``split dev = train[1300, 1500]``.

    Raises DataError E0710 if there is none of that name or the slice lies outside it.
    """
    if name not in splits:
        have = ", ".join(f"{key} ({split.rows})" for key, split in splits.items())
        raise DataError("E0710", f"data has no split `{name}`", f"its splits are: {have}")
    return splits[name] if bounds is None else splits[name].slice(*bounds, name)


def build_splits(
    raw: Mapping[str, Mapping[str, Array]], where: str, *, scaled: bool = False
) -> dict[str, Split]:
    """Check raw arrays as read from files and turn them into splits.

    ``raw`` maps split to field to array. An ``image`` of bytes is divided by 255, and so is one of
    other whole numbers unless it is ``scaled`` by the data declaration; floats keep their values.
    Further axes are flattened. ``where`` names the source in messages. Raises DataError E0706,
    E0707, E0711, E0715, E0775 or E0776.
    """
    if not scaled:
        raw = _as_bytes(raw, where)
    checked = {
        name: _check_fields(fields, f"{where}, split `{name}`") for name, fields in raw.items()
    }
    tops = [int(f["label"].max()) for f in checked.values() if "label" in f and len(f["label"])]
    classes = max(tops) + 1 if tops else None
    splits = {}
    for name, fields in checked.items():
        shapes = {key: array.shape[1:] for key, array in raw[name].items() if array.ndim > 2}
        splits[name] = Split(fields, shapes, classes)
    return splits


def _as_bytes(
    raw: Mapping[str, Mapping[str, Array]], where: str
) -> Mapping[str, Mapping[str, Array]]:
    """Images of whole numbers as bytes; floats that are pixels up to 255 are refused."""
    images = [f["image"] for f in raw.values() if "image" in f and f["image"].size]
    if not images:
        return raw
    low, high = min(float(x.min()) for x in images), max(float(x.max()) for x in images)
    if all(image.dtype.kind in "iu" for image in images):
        if low < 0 or high > _BYTE:
            raise DataError(
                "E0775",
                f"{where}: the pixels of `image` are whole numbers from {low:g} to {high:g}",
                "bytes from 0 to 255 are divided by 255: say by what to divide these, as in"
                f" `scale = {high:g}`; `scale = 1` takes them as they are",
            )
        return {
            split: {k: a.astype(np.uint8) if k == "image" else a for k, a in fields.items()}
            for split, fields in raw.items()
        }
    if low >= 0 and _BYTE / 2 < high <= _BYTE:
        raise DataError(
            "E0776",
            f"{where}: the pixels of `image` are floats from {low:g} to {high:g}",
            "only whole numbers in a binary file are divided by 255: say `scale = 255` to have"
            " these divided too, or `scale = 1` to take them as they are",
        )
    return raw


def _check_fields(fields: Mapping[str, Array], where: str) -> dict[str, Array]:
    if not fields:
        raise DataError("E0711", f"{where} has no fields", "it needs at least `image` or `label`")
    counts = {key: len(array) for key, array in fields.items()}
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"`{key}` has {n}" for key, n in counts.items())
        raise DataError(
            "E0706",
            f"{where}: fields have different numbers of samples ({listed})",
            "check that images and labels come from the same split of the same data set",
        )
    if not next(iter(counts.values())):
        raise DataError("E0711", f"{where} has no samples", "give a file that is not empty")
    return {key: _check_field(key, array, where) for key, array in fields.items()}


def _check_field(name: str, array: Array, where: str) -> Array:
    if name == "label":
        return _labels(array, where)
    if array.ndim > 2:
        array = array.reshape(len(array), -1)
        if name != "image" and array.dtype.kind in "iub":
            return array  # may be long, a value for each step: as it is stored
    if name != "image" and array.dtype.kind in "iub":
        return array.astype(np.int64)
    if array.dtype == np.uint8:
        return array.astype(np.float32) / np.float32(255)
    require_finite(array, f"{where}, field `{name}`")
    return np.ascontiguousarray(array, np.float32)


def require_finite(array: Array, where: str) -> None:
    """Raise DataError E0707 that names the first sample with NaN or infinity in ``array``."""
    finite = np.isfinite(array)
    if finite.all():
        return
    place = np.unravel_index(int(np.argmin(finite)), array.shape)
    column = f", element {', '.join(map(str, place[1:]))}" if len(place) > 1 else ""
    raise DataError(
        "E0707",
        f"{where} holds {array[place]} at sample {place[0]}{column}"
        f" ({int((~finite).sum())} such values in all)",
        "replace or drop these values; missing data has no meaning to a network",
    )


def _labels(array: Array, where: str) -> NDArray[np.int64]:
    where = f"{where}, field `label`"
    flat = array.reshape(len(array), -1)
    if flat.shape[1] != 1:
        raise DataError(
            "E0715",
            f"{where} has {flat.shape[1]} columns",
            "give one class number per sample (arg-max of one-hot rows)",
        )
    column = flat[:, 0]
    if column.dtype.kind == "f":
        require_finite(column, where)
    if column.dtype.kind not in "iubf" or (column.dtype.kind == "f" and (column % 1 != 0).any()):
        raise DataError("E0715", f"{where} is not made of whole numbers", "number classes from 0")
    labels = column.astype(np.int64)
    if labels.min() < 0:
        row = int(np.argmin(labels))
        raise DataError(
            "E0715", f"{where} is {labels[row]} at sample {row}", "number the classes from 0"
        )
    return labels
