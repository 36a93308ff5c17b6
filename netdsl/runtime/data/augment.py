"""Images done anew for each presentation: crops of a padded image, and mirror images.

Draws are keyed by (seed, declaration path, epoch, sample, age, repetition), `age` being how many
presentations a stored sample is old that is shown again with later ones; a shared crop is keyed by
its batch. So neither the batch size nor the backend changes what is drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.ir.augment import Crop, Operation
from netdsl.runtime.data.split import Split, image_axes
from netdsl.runtime.errors import DataError
from netdsl.streams.draws import PhiloxStream, row_key

Array = NDArray[Any]
Numbers = NDArray[np.int64]

_AT_ONCE = 4096  # batches whose shared draws are made together


@dataclass(frozen=True)
class Presentation:
    """What is presented together: the `rows` (R,) of the split, their `ages` (R,) as above, and the
    number of the batch in its epoch."""

    rows: Numbers
    ages: Numbers
    index: int
    epoch: int
    repetition: int


class Augmenter:
    """Augments the images of one split, whose first sample is number `offset` of the source; `path`
    is that of the data declaration.

    Raises DataError E0718 where the split has no images of rows and columns.
    """

    def __init__(
        self, operations: Sequence[Operation], split: Split, offset: int, path: str, seed: int
    ) -> None:
        self.shape = image_axes(split)
        self._operations = operations
        self._draws = {
            operation: _Draws(operation, offset + np.arange(split.rows), path, seed)
            for operation in operations
        }
        for operation in operations:
            if isinstance(operation, Crop):
                _require_fill(operation, self.shape[2])

    def __call__(self, images: Array, shown: Presentation) -> Array:
        """New images (R, pixels) in the type of `images`."""
        maps = images.reshape(len(images), *self.shape)
        for operation in self._operations:
            drawn = self._draws[operation].of(shown)
            if isinstance(operation, Crop):
                maps = _crop(maps, operation, drawn)
            else:
                maps = _flip(maps, drawn)
        return np.ascontiguousarray(maps).reshape(images.shape)


class _Draws:
    """What one operation draws, made for many presentations of an epoch at a time."""

    def __init__(self, operation: Operation, samples: Numbers, path: str, seed: int) -> None:
        if isinstance(operation, Crop):
            name, self._bound, self._width = "crop", 2 * operation.pad + 1, 2
        else:
            name, self._bound, self._width = "flip", 2, 1
        self._shared = isinstance(operation, Crop) and operation.shared
        self._stream = PhiloxStream(seed, f"{path}.{name}")
        self._samples = samples
        self._when = (-1, -1)
        self._shares: dict[int, Array] = {}  # by block of batches
        self._ages: Array = self._none()  # (ages, samples, 1 or 2)

    def of(self, shown: Presentation) -> Array:
        """(R, 1 or 2), or (1, 2) where all share it."""
        if self._when != (shown.epoch, shown.repetition):
            self._when = (shown.epoch, shown.repetition)
            self._shares, self._ages = {}, self._none()
        if self._shared:
            block, place = divmod(shown.index, _AT_ONCE)
            if block not in self._shares:
                self._shares[block] = self._drawn(block * _AT_ONCE + np.arange(_AT_ONCE), 0)
            return self._shares[block][place : place + 1]
        for age in range(len(self._ages), int(shown.ages.max()) + 1):
            drawn = self._drawn(self._samples, age)
            self._ages = np.concatenate([self._ages, drawn[None]])
        return np.asarray(self._ages[shown.ages, shown.rows])

    def _none(self) -> Array:
        return np.empty((0, len(self._samples), self._width), np.min_scalar_type(self._bound))

    def _drawn(self, numbers: Numbers, age: int) -> Array:
        epoch, repetition = self._when
        keys = row_key(0, epoch, numbers, age, repetition)
        drawn = self._stream.randint(self._bound, keys, 0, self._width)
        return drawn.astype(np.min_scalar_type(self._bound))


def _require_fill(crop: Crop, channels: int) -> None:
    if len(crop.fill) not in (1, channels):
        raise DataError(
            "E0718",
            f"`fill` has {len(crop.fill)} numbers for {channels} channel(s)",
            "give one number, or one per channel",
        )


def _crop(maps: Array, crop: Crop, corners: Array) -> Array:
    rows, columns = maps.shape[1:3]
    padded = _padded(maps, crop)
    if crop.shared:
        top, left = (int(corner) for corner in corners[0])
        return padded[:, top : top + rows, left : left + columns]
    corners = corners.astype(np.int64)
    down, across = corners[:, :1] + np.arange(rows), corners[:, 1:] + np.arange(columns)
    each = np.arange(len(maps))[:, None, None]
    return np.asarray(padded[each, down[:, :, None], across[:, None, :]])


def _padded(maps: Array, crop: Crop) -> Array:
    count, rows, columns, channels = maps.shape
    shape = (count, rows + 2 * crop.pad, columns + 2 * crop.pad, channels)
    padded = np.empty(shape, maps.dtype)
    padded[...] = np.asarray(crop.fill, maps.dtype)
    padded[:, crop.pad : crop.pad + rows, crop.pad : crop.pad + columns] = maps
    return padded


def _flip(maps: Array, drawn: Array) -> Array:
    chosen = np.flatnonzero(drawn[:, 0])
    flipped = np.array(maps)
    flipped[chosen] = maps[chosen, :, ::-1]
    return flipped
