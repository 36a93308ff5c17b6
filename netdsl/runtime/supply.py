"""The batches of one pass over a split, taken one at a time or several of equal size at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from netdsl.backends.chunks import Fed
from netdsl.ir.protocol import Each
from netdsl.runtime.datasets import Batch, Datasets, Indexed, Opened
from netdsl.runtime.hooks import Options

Array = NDArray[Any]


class Several(ABC):
    """Batches of equal size that follow each other: `first` is the number of the first, `keys`
    (batches, R) are the random keys of their samples."""

    first: int
    keys: NDArray[np.uint64]

    def __len__(self) -> int:
        """Number of batches."""
        return len(self.keys)

    @property
    def rows(self) -> int:
        """Samples in each."""
        return int(self.keys.shape[1])

    @abstractmethod
    def has(self, field: str) -> bool:
        """Is there such a field?"""

    @abstractmethod
    def width(self, field: str) -> int:
        """Numbers that a sample has of a field."""

    def fed(self, field: str, dtype: DTypeLike) -> Fed:
        """A field in a run's number type, as an executor takes it."""
        if field == NEWEST:
            last = np.arange(self.rows) == self.rows - 1
            index = np.broadcast_to(last.astype(np.int64), self.keys.shape)
            return Fed(np.array([0, 1], dtype), index)
        return self._fed(field, dtype)

    def values(self, field: str) -> Array:
        """A field of all samples, (batches * R, …), as the host has it."""
        if field == NEWEST:
            last = np.arange(self.rows) == self.rows - 1
            return np.tile(last.astype(np.float32), len(self))
        return self._values(field)

    @abstractmethod
    def _fed(self, field: str, dtype: DTypeLike) -> Fed: ...

    @abstractmethod
    def _values(self, field: str) -> Array: ...

    @abstractmethod
    def batch(self, number: int) -> Batch:
        """One of the batches, 0-based from the first of these."""

    @property
    def renewed(self) -> bool:
        """Are samples that a memory holds made anew with every batch?"""
        return False


class Supply(ABC):
    """Batches of a pass from number `number` on."""

    def __init__(self, first: int) -> None:
        self.number = first

    @abstractmethod
    def alike(self, most: int) -> int:
        """How many of the next batches have the same number of samples, `most` at most; 0 at the
        end."""

    @property
    @abstractmethod
    def rows(self) -> int:
        """Samples of the next batch."""

    @abstractmethod
    def take(self, count: int) -> Several:
        """The next batches, as many as `alike` says at most."""

    @property
    @abstractmethod
    def room(self) -> int:
        """Bytes of the fields of a batch."""


def supply_of(
    datasets: Datasets,
    opened: Opened,
    *,
    training: bool,
    epoch: int,
    repetition: int,
    size: int | None,
    samples: int | None,
    first: int,
) -> Supply:
    """The batches of `Datasets.batches` from number `first` on."""
    found = datasets.indexed(
        opened,
        training=training,
        epoch=epoch,
        repetition=repetition,
        size=size,
        samples=samples,
    )
    if found is not None:
        return _Stored(datasets, opened, found, first)
    batches = datasets.batches(
        opened,
        training=training,
        epoch=epoch,
        repetition=repetition,
        size=size,
        samples=samples,
        first=first,
    )
    return _Made(batches, first)


def samples_of(
    opened: Opened, step: Each, limit: int | None, options: Options, training: bool
) -> int | None:
    """Samples of a pass: at most what the loop's limit says; None for all that there are. An
    evaluation's own number stands before the limit of a loop over a task, which has no end."""
    asked = options.limit if training else options.eval_limit
    if limit is not None and step.counts != "sample" and step.kind != "sample":
        held = opened.data.batch if training else opened.data.eval_batch
        limit *= options.batch or held
    if opened.generator is not None and limit is None:
        limit = opened.rows
    if asked is None or limit is None:
        return limit if asked is None else asked
    if opened.generator is not None and not training:
        return asked
    return min(asked, limit)


class _Stored(Supply):
    """Samples that lie in memory and are gathered where they are needed."""

    def __init__(self, datasets: Datasets, opened: Opened, found: Indexed, first: int) -> None:
        super().__init__(first)
        self._datasets, self._opened, self._found = datasets, opened, found

    def alike(self, most: int) -> int:
        size, total = self._found.size, len(self._found.order)
        whole = total // size - self.number
        return min(most, whole) if whole > 0 else int(self.number * size < total)

    @property
    def rows(self) -> int:
        return min(self._found.size, len(self._found.order) - self.number * self._found.size)

    @property
    def room(self) -> int:
        fields = self._opened.split.fields.values()
        return self._found.size * sum(int(held[0].nbytes) for held in fields)

    def take(self, count: int) -> Several:
        taken = _SeveralStored(self._datasets, self._opened, self._found, self.number, count)
        self.number += count
        return taken


class _SeveralStored(Several):
    def __init__(
        self, datasets: Datasets, opened: Opened, found: Indexed, first: int, count: int
    ) -> None:
        self._datasets, self._opened, self.first = datasets, opened, first
        part = slice(first * found.size, (first + count) * found.size)
        self._order = found.order[part].reshape(count, -1)
        self._samples = found.samples[part].reshape(count, -1)
        self.keys = found.keys[part].reshape(count, -1)

    def has(self, field: str) -> bool:
        fields = self._opened.split.fields
        if field == NEWEST:
            return field not in fields
        if field in _MADE:
            return field not in fields and (field == "positive" or "label" in fields)
        return field in fields

    def width(self, field: str) -> int:
        held = self._opened.split.fields.get(field)
        return 1 if held is None else held[0].size

    def _fed(self, field: str, dtype: DTypeLike) -> Fed:
        stored = self._opened.split.fields.get(field)
        if stored is not None and stored.dtype == dtype and stored.flags.c_contiguous:
            return Fed(stored, self._order)
        # Only these are converted: the whole of a data set may be large.
        values = np.ascontiguousarray(self._values(field), dtype)
        return Fed(values, np.arange(len(values)).reshape(self.keys.shape))

    def _values(self, field: str) -> Array:
        order, fields = self._order.reshape(-1), self._opened.split.fields
        if field == "positive":
            return np.ones(len(order), np.float32)
        return fields["label" if field == "shown_label" else field][order]

    def batch(self, number: int) -> Batch:
        return self._datasets.stored_batch(
            self._opened,
            self._order[number],
            self._samples[number],
            self.keys[number],
            self.first + number,
        )


NEWEST = "newest"  # the field that says which row was presented last
_MADE = ("positive", "shown_label")  # of every batch, whatever the data have under this name


class _Made(Supply):
    """Samples that are made batch by batch."""

    def __init__(self, batches: Iterator[Batch], first: int) -> None:
        super().__init__(first)
        self._batches = batches
        self._ahead: list[Batch] = []

    def _fill(self, count: int) -> None:
        self._ahead += islice(self._batches, max(count - len(self._ahead), 0))

    def alike(self, most: int) -> int:
        self._fill(1)
        if most > 1 and self._ahead:
            self._fill(most)
        rows = [len(batch.keys) for batch in self._ahead[:most]]
        odd = (n for n, count in enumerate(rows) if count != rows[0])
        return next(odd, len(rows))

    @property
    def rows(self) -> int:
        self._fill(1)
        return len(self._ahead[0].keys) if self._ahead else 0

    @property
    def room(self) -> int:
        self._fill(1)
        held = self._ahead[0].fields.values() if self._ahead else ()
        return sum(field.nbytes for field in held)

    def take(self, count: int) -> Several:
        taken, self._ahead = self._ahead[:count], self._ahead[count:]
        self.number += count
        return _SeveralMade(taken)


class _SeveralMade(Several):
    def __init__(self, batches: Sequence[Batch]) -> None:
        self._batches, self.first = batches, batches[0].index
        self.keys = np.stack([batch.keys for batch in batches])

    def has(self, field: str) -> bool:
        return (field == NEWEST) != (field in self._batches[0].fields)

    def width(self, field: str) -> int:
        return 1 if field == NEWEST else int(self._batches[0].fields[field][0].size)

    def _fed(self, field: str, dtype: DTypeLike) -> Fed:
        values = np.ascontiguousarray(self._values(field), dtype)
        return Fed(values, np.arange(len(values)).reshape(self.keys.shape))

    def _values(self, field: str) -> Array:
        return np.concatenate([batch.fields[field] for batch in self._batches])

    def batch(self, number: int) -> Batch:
        return self._batches[number]

    @property
    def renewed(self) -> bool:
        return self._batches[0].renewed is not None
