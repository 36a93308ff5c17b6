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


@dataclass(frozen=True)
class Presentation:
    """Which samples are presented together: `samples` (R,) are indices in the whole source, `ages`
    (R,) as above, `index` the number of the batch in its epoch."""

    samples: NDArray[np.int64]
    ages: NDArray[np.int64]
    index: int
    epoch: int
    repetition: int

    @property
    def keys(self) -> NDArray[np.uint64]:
        """Keys of the rows, (R,)."""
        return row_key(0, self.epoch, self.samples, self.ages, self.repetition)

    @property
    def key(self) -> NDArray[np.uint64]:
        """The key of what all rows share, (1,)."""
        return np.atleast_1d(row_key(0, self.epoch, self.index, 0, self.repetition))


class Augmenter:
    """Augments the images of one split; `path` is that of the data declaration.

    Raises DataError E0718 where the split has no images of rows and columns.
    """

    def __init__(self, operations: Sequence[Operation], split: Split, path: str, seed: int) -> None:
        self.shape = image_axes(split)
        self._operations = []
        for operation in operations:
            kind = "crop" if isinstance(operation, Crop) else "flip"
            if isinstance(operation, Crop):
                _require_fill(operation, self.shape[2])
            self._operations.append((operation, PhiloxStream(seed, f"{path}.{kind}")))

    def __call__(self, images: Array, shown: Presentation) -> Array:
        """New images (R, pixels) in the type of `images`."""
        maps = images.reshape(len(images), *self.shape)
        for operation, stream in self._operations:
            if isinstance(operation, Crop):
                maps = _crop(maps, operation, stream, shown)
            else:
                maps = _flip(maps, stream, shown)
        return np.ascontiguousarray(maps).reshape(images.shape)


def _require_fill(crop: Crop, channels: int) -> None:
    if len(crop.fill) not in (1, channels):
        raise DataError(
            "E0718",
            f"`fill` has {len(crop.fill)} numbers for {channels} channel(s)",
            "give one number, or one per channel",
        )


def _crop(maps: Array, crop: Crop, stream: PhiloxStream, shown: Presentation) -> Array:
    rows, columns = maps.shape[1:3]
    padded = _padded(maps, crop)
    keys = shown.key if crop.shared else shown.keys
    corners = stream.randint(2 * crop.pad + 1, keys, 0, 2)
    if crop.shared:
        top, left = (int(corner) for corner in corners[0])
        return padded[:, top : top + rows, left : left + columns]
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


def _flip(maps: Array, stream: PhiloxStream, shown: Presentation) -> Array:
    flipped = stream.randint(2, shown.keys, 0, 1)[:, 0] == 1
    return np.where(flipped[:, None, None, None], maps[:, :, ::-1], maps)
