"""Finding out what a data source is, and reading it: one interface for all formats."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.runtime.data.cifar import load_cifar
from netdsl.runtime.data.digits import load_digits
from netdsl.runtime.data.fetch import fetched_path
from netdsl.runtime.data.files import cannot_open
from netdsl.runtime.data.idx import load_idx
from netdsl.runtime.data.npz import load_npz
from netdsl.runtime.data.split import Split, build_splits
from netdsl.runtime.data.table import load_csv
from netdsl.runtime.errors import DataError

BUILTIN = {"digits": load_digits}
_SETTINGS = ("mean", "std", "scale")
_FILE_SUFFIXES = (".npz", ".csv", ".gz", "ubyte")

Raw = dict[str, dict[str, NDArray[Any]]]


def load_source(
    source: str,
    path: str | None,
    base: Path,
    settings: Mapping[str, Any] | None = None,
    name: str = "NAME",
) -> dict[str, Split]:
    """Read a data source and return its splits by name (``train``, ``test``, perhaps ``dev``).

    ``source`` is a built-in name (``"digits"``), a fetched one, a path, or a mere name for what
    ``path`` (from ``--data name=PATH``) holds. Relative paths start at ``base``. ``settings``:
    ``scale`` divides images by a number; ``mean`` and ``std`` then normalise them per channel.
    ``name`` is the data declaration's name, for messages. Raises DataError (E0701 to E0717, E0775,
    E0776).
    """
    chosen = settings or {}
    for key in chosen:
        if key not in _SETTINGS:
            raise DataError(
                "E0717", f"unknown data setting `{key}`", f"settings are {', '.join(_SETTINGS)}"
            )
    if path is None and source in BUILTIN:
        splits = build_splits(BUILTIN[source](), f"built-in data `{source}`", scaled=True)
    else:
        place = _locate(source, path, base, name)
        try:
            splits = build_splits(_read(place), f"`{place}`", scaled="scale" in chosen)
        except OSError as fault:  # a folder that may not be listed
            raise cannot_open(place, fault) from None
    return {key: _normalise(split, chosen) for key, split in splits.items()}


def place_of(source: str, path: str | None, base: Path) -> Path | None:
    """The file or folder that is meant; None for a name that is built in or fetched."""
    if path is not None:
        return base / Path(path).expanduser()
    if "/" in source or source.endswith(_FILE_SUFFIXES):
        return base / source
    return None


def _locate(source: str, path: str | None, base: Path, name: str) -> Path:
    place = place_of(source, path, base)
    if place is not None:
        return place
    stored = fetched_path(source)
    if stored is not None and stored.exists():
        return stored
    raise DataError(
        "E0701",
        f'data `{name}` has the source "{source}", which is not built in, and no path',
        f"pass `--data {name}=PATH` (a folder or file: IDX, NPZ, CSV, CIFAR binary), run"
        f' `netdsl fetch {source}`, or use the built-in source "digits"',
    )


def _read(place: Path) -> Raw:
    if not place.exists():
        raise DataError(
            "E0702",
            f"data file or folder `{place}` does not exist",
            "check the path for typing errors",
        )
    if not place.is_dir():
        if place.suffix == ".npz":
            return load_npz(place)
        if place.suffix == ".bin":
            raise DataError(
                "E0712",
                f"`{place}` is one file of a data set that has several",
                "name the folder that holds CIFAR's .bin files",
            )
        return load_csv(place) if place.suffix == ".csv" else load_idx(place)
    for reader in (load_idx, load_cifar, load_csv):
        if raw := reader(place):
            return raw
    archives = sorted(place.glob("*.npz"))
    if len(archives) == 1:
        return load_npz(archives[0])
    help = (
        "it should hold IDX files (train-images-idx3-ubyte[.gz], ...), CIFAR's .bin files,"
        " train.csv, or exactly one .npz"
    )
    if (place / "data_batch_1").exists() or (place / "batches.meta").exists():
        help = "these are CIFAR's pickled files, which are not read: take its binary version"
    raise DataError("E0712", f"folder `{place}` holds no data set that is known here", help)


def _normalise(split: Split, settings: Mapping[str, Any]) -> Split:
    if "image" not in split.fields or not settings:
        return split
    image = split.fields["image"]
    channels = split.shape_hint[2] if len(split.shape_hint) == 3 else 1
    pixels = image.reshape(len(image), -1, channels)
    scale = _numbers(settings, "scale", 1, 1.0)
    mean, std = _numbers(settings, "mean", channels, 0.0), _numbers(settings, "std", channels, 1.0)
    if not (scale.all() and std.all()):
        raise DataError("E0717", "data settings `scale` and `std` must not be 0")
    # In place on one copy: a normalised CIFAR would otherwise pass through three of 600 MB.
    pixels = pixels / scale.astype(np.float32)
    pixels -= mean.astype(np.float32)
    pixels /= std.astype(np.float32)
    fields = {**split.fields, "image": pixels.reshape(image.shape)}
    return Split(fields, split.shapes, split.classes)


def _numbers(
    settings: Mapping[str, Any], key: str, channels: int, default: float
) -> NDArray[np.float64]:
    try:
        values = np.atleast_1d(np.asarray(settings.get(key, default), np.float64))
    except (TypeError, ValueError):
        raise DataError("E0717", f"data setting `{key}` must be a number or a list") from None
    if values.shape not in ((1,), (channels,)):
        raise DataError(
            "E0717",
            f"data setting `{key}` has {values.size} numbers for {channels} channel(s)",
            "give one number, or one per channel; images are stored as (samples, rows, columns,"
            " channels)",
        )
    return values
