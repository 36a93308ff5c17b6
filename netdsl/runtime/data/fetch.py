"""Fetching data sets from OpenML: only ever on an explicit command, never during a run."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np

from netdsl.runtime.archive import write_npz
from netdsl.runtime.atomic import make_folder
from netdsl.runtime.errors import DataError

# OpenML's names, and the number of leading samples that are the customary training set.
KNOWN = {
    "mnist": ("mnist_784", 60000),
    "fashion": ("Fashion-MNIST", 60000),
    "fashion_mnist": ("Fashion-MNIST", 60000),
    "kmnist": ("Kuzushiji-MNIST", 60000),
}


def data_cache() -> Path:
    """Folder of fetched data: $NETDSL_DATA, else netdsl/data in the user's cache folder."""
    if chosen := os.environ.get("NETDSL_DATA"):
        return Path(chosen)
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "netdsl" / "data"


def fetched_path(name: str) -> Path | None:
    """Where ``netdsl fetch name`` stores its data; None if ``name`` is not fit for a file name."""
    return data_cache() / f"{name}.npz" if re.fullmatch(r"[A-Za-z0-9][\w-]*", name) else None


def fetch_openml_npz(name: str, out: Path | None = None, train_rows: int | None = None) -> Path:
    """Fetch a data set from OpenML and store it as NPZ; returns the file.

    ``name`` is one of ``KNOWN`` or an OpenML name of images with a class label. ``out`` is the file
    to write (default: the user's data folder, where sources find it by name). The first
    ``train_rows`` samples become the training split (default: the customary number, else 6/7).
    Needs the network and scikit-learn. Raises DataError E0714.
    """
    target = out or fetched_path(name)
    if target is None:
        raise DataError("E0714", f"`{name}` is not a name of a data set", "use letters and digits")
    remote, customary = KNOWN.get(name, (name, None))
    image, label = _download(remote)
    rows = train_rows or customary or len(image) * 6 // 7
    if not 0 < rows < len(image):
        raise DataError("E0714", f"`{name}` has {len(image)} samples, so {rows} cannot be training")
    make_folder(target.parent)
    write_npz(
        target,
        {
            "train_image": image[:rows],
            "train_label": label[:rows],
            "test_image": image[rows:],
            "test_label": label[rows:],
        },
    )
    return target


def _download(remote: str) -> tuple[Any, Any]:
    try:
        from sklearn.datasets import fetch_openml
    except ImportError:
        raise DataError(
            "E0714", "fetching needs scikit-learn", "pip install scikit-learn"
        ) from None
    try:
        bunch = fetch_openml(remote, as_frame=False, parser="liac-arff")
    except Exception as fault:
        # Anything may come out of a network library; the user needs the reason, not the traceback.
        raise DataError(
            "E0714",
            f"`{remote}` could not be fetched from OpenML: {fault}",
            "check the network connection and the name on openml.org; or pass files of your own"
            " with `--data name=PATH`",
        ) from None
    return _pixels(np.asarray(bunch.data)), _classes(np.asarray(bunch.target))


def _pixels(data: Any) -> Any:
    """Bytes if the values are bytes, in a square image where the number of pixels allows."""
    data = data.astype(np.float32)
    if (data >= 0).all() and (data <= 255).all() and (data % 1 == 0).all() and data.max() > 1:
        data = data.astype(np.uint8)
    side = round(data.shape[1] ** 0.5)
    return data.reshape(-1, side, side) if side * side == data.shape[1] else data


def _classes(target: Any) -> Any:
    """Class numbers: as they are if numeric, else in the order of their sorted names."""
    try:
        return target.astype(np.int64)
    except ValueError:
        return np.unique(target, return_inverse=True)[1].astype(np.int64)
