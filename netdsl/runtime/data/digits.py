"""The handwritten digits that come with scikit-learn: data for a first run without a network."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.runtime.errors import DataError
from netdsl.streams.draws import build_permutation

TRAIN_ROWS = 1500
_GREYS = 16


def load_digits() -> dict[str, dict[str, NDArray[Any]]]:
    """1500 training and 297 test images of 8 x 8 pixels, with values in [0, 1], ten classes.

    The order is fixed and mixes the writers; any slice of consecutive samples has the classes in
    nearly equal numbers. Returns split -> field -> array.
    Raises DataError E0701 without scikit-learn.
    """
    try:
        from sklearn.datasets import load_digits as load
    except ImportError:
        raise DataError(
            "E0701", "built-in data `digits` needs scikit-learn", "pip install scikit-learn"
        ) from None
    bunch = load()
    label = np.asarray(bunch.target, np.int64)
    order = _balanced_order(label)
    image = (np.asarray(bunch.images, np.float32) / np.float32(_GREYS))[order]
    parts = {"train": slice(0, TRAIN_ROWS), "test": slice(TRAIN_ROWS, None)}
    return {name: {"image": image[s], "label": label[order][s]} for name, s in parts.items()}


def _balanced_order(label: NDArray[np.int64]) -> NDArray[np.int64]:
    """Shuffle, then deal the samples so that each class is spread evenly over the whole list."""
    mixed = build_permutation(0, "std.data.digits", len(label))
    position = np.empty(len(label))
    for value in np.unique(label):
        members = np.flatnonzero(label[mixed] == value)
        position[members] = (np.arange(len(members)) + 0.5) / len(members)
    return mixed[np.argsort(position, kind="stable")]
