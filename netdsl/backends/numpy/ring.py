"""Rings in NumPy: one array of slots, and which slot is the newest."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

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
