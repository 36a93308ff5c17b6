"""Rings in NumPy: one array of slots, and which slot is the newest."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.backends.bits import packed, unpacked

Floats = NDArray[Any]


class Ring:
    """The values that were pushed last, (slots, ...), of which the first rows are present.

    `head` is the slot of the newest; the others follow in order of age, round the end.
    """

    def __init__(self, array: Floats, *, per_row: bool) -> None:
        self.array, self.per_row = array, per_row
        self.head = 0
        self.bind(array.shape[1] if per_row else 0)

    def bind(self, rows: int) -> None:
        """Let so many rows be present."""
        self.present = self.array[:, :rows] if self.per_row else self.array

    def push(self, source: Floats) -> None:
        """Take `source` in, in the place of the oldest."""
        self.head = (self.head or len(self.array)) - 1
        self.present[self.head] = source

    def fill(self, source: Floats) -> None:
        """Let every slot be `source`."""
        self.present[...] = source

    def ago(self, pushes: float) -> Floats:
        """What was pushed so many times before the last."""
        value: Floats = self.present[(self.head + int(pushes)) % len(self.array)]
        return value

    def read(self, rows: int) -> Floats:
        """A copy of some rows, the newest first."""
        held = self.array[:, :rows] if self.per_row else self.array
        return np.roll(held, -self.head, axis=0)

    def write(self, rows: int, value: Floats | float) -> None:
        """Overwrite some rows, the newest first."""
        held = self.array[:, :rows] if self.per_row else self.array
        self.head = 0
        np.copyto(held, value, casting="unsafe")


class PackedRing(Ring):
    """A ring of bools, (slots, rows, bytes); outside they are numbers of `dtype`, (rows, width)."""

    def __init__(self, array: NDArray[np.uint8], width: int, dtype: np.dtype[Any]) -> None:
        super().__init__(array, per_row=True)
        self.width, self.dtype = width, dtype

    def push(self, source: Floats) -> None:
        """Take `source` in, in the place of the oldest."""
        super().push(packed(source))

    def fill(self, source: Floats) -> None:
        """Let every slot be `source`."""
        super().fill(packed(source))

    def ago(self, pushes: float) -> Floats:
        """What was pushed so many times before the last: an array of its own."""
        return unpacked(super().ago(pushes), self.width, self.dtype)

    def read(self, rows: int) -> Floats:
        """A copy of some rows, the newest first."""
        return unpacked(super().read(rows), self.width, self.dtype)

    def write(self, rows: int, value: Floats | float) -> None:
        """Overwrite some rows, the newest first."""
        whole = np.broadcast_to(value, (len(self.array), rows, self.width))
        super().write(rows, packed(whole))
