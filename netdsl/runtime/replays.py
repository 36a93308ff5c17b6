"""Batches as a full replay memory presents them: with the samples before them."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from netdsl.backends.chunks import Fed
from netdsl.ir.network import Memory
from netdsl.runtime.datasets import Batch
from netdsl.runtime.memories import Held
from netdsl.runtime.supply import Several

Array = NDArray[Any]


class Replayed(Several):
    """Batches of one sample each, every one with those that a full memory holds when it is pushed.

    `last_held` is what the memory holds behind the last of them.
    """

    def __init__(self, several: Several, held: Held, memory: Memory) -> None:
        self._several, self._held, self._memory = several, held, memory
        self.first = several.first
        count, size = len(several), memory.size
        self._window = np.arange(count)[:, None] + np.arange(size)[None, :]
        self.keys = self._joined(held.keys, several.keys.reshape(-1))[self._window]

    def _joined(self, old: Array, new: Array) -> Array:
        """What the memory holds but its oldest slot, then what is new."""
        return np.concatenate([old[len(old) + 1 - self._memory.size :], new])

    def has(self, field: str) -> bool:
        return self._several.has(field) and (field == "newest" or field in self._held.fields)

    def width(self, field: str) -> int:
        return self._several.width(field)

    def _fed(self, field: str, dtype: DTypeLike) -> Fed:
        joined = self._joined(self._held.fields[field], self._several.values(field))
        return Fed(np.ascontiguousarray(joined, dtype), self._window)

    def _values(self, field: str) -> Array:
        joined = self._joined(self._held.fields[field], self._several.values(field))
        return np.asarray(joined[self._window.reshape(-1)])

    def batch(self, number: int) -> Batch:
        return self._several.batch(number)

    @property
    def renewed(self) -> bool:
        return self._several.renewed

    @cached_property
    def last_held(self) -> Held:
        """What the memory holds behind the last batch."""
        held = self._held
        for number in range(max(len(self) - self._memory.size, 0), len(self)):
            held = held.pushed(self._memory, self._several.batch(number))
        return held


class Renewed(Several):
    """As `Replayed`, of samples that are augmented anew with every batch: all of them are made."""

    def __init__(self, several: Several, held: Held, memory: Memory) -> None:
        self._several, self.first = several, several.first
        self._all: list[Held] = []
        for number in range(len(several)):
            held = held.pushed(memory, several.batch(number))
            self._all.append(held)
        self.last_held = held
        self.keys = np.stack([one.keys for one in self._all])

    def has(self, field: str) -> bool:
        return self._several.has(field) and (field == "newest" or field in self.last_held.fields)

    def width(self, field: str) -> int:
        return self._several.width(field)

    def _fed(self, field: str, dtype: DTypeLike) -> Fed:
        values = np.ascontiguousarray(self._values(field), dtype)
        return Fed(values, np.arange(len(values)).reshape(self.keys.shape))

    def _values(self, field: str) -> Array:
        return np.concatenate([one.fields[field] for one in self._all])

    def batch(self, number: int) -> Batch:
        return self._several.batch(number)

    @property
    def renewed(self) -> bool:
        return True


def replayed(several: Several, held: Held, memory: Memory) -> Replayed | Renewed:
    """Batches with the samples that a full memory holds when they are pushed into it."""
    return (Renewed if several.renewed else Replayed)(several, held, memory)
