"""The data of a network: sources opened once, splits by name, batches with their random keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.ir.protocol import Data
from netdsl.runtime.data import (
    Batches,
    Generator,
    PairContext,
    Presentation,
    make_pairs,
    positive_only,
)
from netdsl.runtime.errors import RunFault
from netdsl.runtime.opening import Opened, Sources, fault_at
from netdsl.streams.draws import row_key, stream_hash

__all__ = ["Batch", "Datasets", "Indexed", "Opened", "evaluation_call", "fault_at"]

Array = NDArray[Any]


# From indices in the whole source and ages, both (R,), to fields (R, ...).
Renewed = Callable[[NDArray[np.int64], NDArray[np.int64]], Mapping[str, Array]]


@dataclass(frozen=True)
class Batch:
    """Fields of one batch (R, ...), the keys of its rows (R,), and its number in the epoch.

    `samples` (R,) are indices in the whole source. `renewed`, where images are augmented, gives the
    fields of samples that are presented again with this batch; `Datasets.take` says how.
    """

    fields: Mapping[str, Array]
    keys: NDArray[np.uint64]
    index: int
    samples: NDArray[np.int64]
    renewed: Renewed | None = None


@dataclass(frozen=True)
class Indexed:
    """A pass over stored samples as a whole: batch `b` has rows `b * size` to `(b + 1) * size` of
    `order` (M,), which are rows of the split's arrays; the last may be smaller.

    `keys` (M,) are the random keys of these rows, `samples` (M,) their indices in the whole source.
    """

    order: NDArray[np.int64]
    keys: NDArray[np.uint64]
    samples: NDArray[np.int64]
    size: int

    def __len__(self) -> int:
        """Number of batches."""
        return -(-len(self.order) // self.size)


class Datasets(Sources):
    """The data of a network as protocols take them: in batches, or as whole passes."""

    def batches(
        self,
        opened: Opened,
        *,
        training: bool,
        epoch: int,
        repetition: int,
        size: int | None = None,
        samples: int | None = None,
        first: int = 0,
    ) -> Iterator[Batch]:
        """Batches of a split from number `first` on; `samples` cuts the split short.

        Training shuffles and drops as declared, and its draws are keyed by epoch, sample, pair
        member and repetition; evaluation goes in order and keeps all, and its draws are keyed by
        split, sample, pair member and repetition, whatever the epoch.
        """
        call, when = (0, epoch) if training else (evaluation_call(opened), 0)
        plan = self.plan(opened, training=training, epoch=epoch, size=size, samples=samples)
        if opened.generator is None and opened.pairs is None:
            whole = _numbered(opened, plan, (call, when, repetition))
            for index in range(first, len(whole)):
                yield self._stored(opened, whole, index, (call, when, repetition))
            return
        for index, chosen in enumerate(plan):
            if index >= first:
                yield self._batch(opened, chosen, index, when, call, repetition)

    def take(
        self,
        opened: Opened,
        samples: NDArray[np.int64],
        *,
        training: bool,
        epoch: int,
        index: int,
        repetition: int,
        ages: NDArray[np.int64] | None = None,
    ) -> dict[str, Array]:
        """Fields (R, ...) of stored samples that are presented together, by their indices in the
        whole source. `ages` (R,): how many presentations ago each was new (0 for all by itself);
        `index`, `epoch` and `repetition` are those of this presentation."""
        rows = samples - opened.offset
        fields = opened.split.take(rows)
        if opened.augment is not None and training:
            old = np.zeros_like(rows) if ages is None else ages
            shown = Presentation(rows, old, index, epoch, repetition)
            fields["image"] = opened.augment(fields["image"], shown)
        return fields

    def indexed(
        self,
        opened: Opened,
        *,
        training: bool,
        epoch: int,
        repetition: int,
        size: int | None = None,
        samples: int | None = None,
    ) -> Indexed | None:
        """What `batches` would yield, without gathering it; None where samples are made anew."""
        if not opened.stored and (training or opened.generator or opened.pairs):
            return None
        plan = self.plan(opened, training=training, epoch=epoch, size=size, samples=samples)
        call, when = (0, epoch) if training else (evaluation_call(opened), 0)
        return _numbered(opened, plan, (call, when, repetition))

    def stored_batch(
        self,
        opened: Opened,
        order: NDArray[np.int64],
        samples: NDArray[np.int64],
        keys: NDArray[np.uint64],
        index: int,
    ) -> Batch:
        """One batch of a pass over stored samples: what `batches` would yield."""
        return Batch(positive_only(opened.split.take(order), samples).fields, keys, index, samples)

    def plan(
        self,
        opened: Opened,
        *,
        training: bool,
        epoch: int = 0,
        size: int | None = None,
        samples: int | None = None,
    ) -> Batches:
        """How a split is cut into batches. Raises DiagnosticError E0716."""
        data = opened.data
        batch = size or (data.batch if training else data.eval_batch)
        endless = opened.generator is not None
        if endless:
            rows = opened.rows if samples is None else samples
        else:
            rows = opened.rows if samples is None else min(samples, opened.rows)
        try:
            if endless or not training:
                return Batches(rows, batch)
            if rows < opened.split.rows and data.shuffle:
                # A cut split takes the first samples of the shuffled order, not of the file.
                return _Cut(opened.split.rows, rows, batch, data, self._seed, epoch)
            return Batches(rows, batch, data.shuffle, data.partial, self._seed, epoch, data.name)
        except RunFault as fault:
            raise fault_at(fault, data.span) from None

    def _stored(
        self, opened: Opened, whole: Indexed, index: int, when: tuple[int, int, int]
    ) -> Batch:
        """Batch number `index` of a pass over samples that have no negatives."""
        part = slice(index * whole.size, (index + 1) * whole.size)
        samples, keys = whole.samples[part], whole.keys[part]
        call, epoch, repetition = when
        again = partial(
            self._presented,
            opened,
            training=call == 0,
            epoch=epoch,
            index=index,
            repetition=repetition,
        )
        fields = again(samples, np.zeros_like(samples))
        renewed = None if opened.augment is None or call else again
        return Batch(fields, keys, index, samples, renewed)

    def _presented(
        self,
        opened: Opened,
        samples: NDArray[np.int64],
        ages: NDArray[np.int64],
        *,
        training: bool,
        epoch: int,
        index: int,
        repetition: int,
    ) -> dict[str, Array]:
        """What `take` gives, with the fields that all batches have."""
        fields = self.take(
            opened,
            samples,
            training=training,
            epoch=epoch,
            index=index,
            repetition=repetition,
            ages=ages,
        )
        return positive_only(fields, samples).fields

    def _batch(
        self,
        opened: Opened,
        chosen: NDArray[np.int64],
        index: int,
        epoch: int,
        call: int,
        repetition: int,
    ) -> Batch:
        if opened.generator is not None:
            return self._new_batch(opened.generator, chosen, index, (call, epoch, repetition))
        samples, pairs = chosen + opened.offset, opened.pairs
        assert pairs is not None
        fields = self.take(
            opened,
            samples,
            training=call == 0,
            epoch=epoch,
            index=index,
            repetition=repetition,
        )
        context = PairContext(
            self._seed,
            pairs.name,
            samples,
            opened.split.classes,
            epoch,
            index,
            call,
            repetition,
        )
        try:
            streams = make_pairs(pairs.kind, fields, context, pairs.settings)
        except RunFault as fault:
            raise fault_at(fault, pairs.span) from None
        keys = row_key(call, epoch, streams.samples, streams.members, repetition)
        return Batch(streams.fields, keys, index, streams.samples)

    def _new_batch(
        self,
        generator: Generator,
        samples: NDArray[np.int64],
        index: int,
        when: tuple[int, int, int],
    ) -> Batch:
        call, epoch, repetition = when
        keys = row_key(call, epoch, samples, 0, repetition)
        whole = np.atleast_1d(row_key(call, epoch, index, 0, repetition))
        try:
            fields = generator.fields(keys, whole)
        except RunFault as fault:
            raise fault_at(fault, generator.data.span) from None
        return Batch(fields, keys, index, samples)


def _numbered(opened: Opened, plan: Batches, when: tuple[int, int, int]) -> Indexed:
    """The rows of all batches with their keys, drawn together."""
    call, epoch, repetition = when
    order = np.ascontiguousarray(plan.rows, np.int64)
    samples = order + opened.offset
    return Indexed(order, row_key(call, epoch, samples, 0, repetition), samples, plan.batch)


class _Cut(Batches):
    """Batches of the first `rows` samples of a shuffled order."""

    def __init__(
        self, whole: int, rows: int, batch: int, data: Data, seed: int, epoch: int
    ) -> None:
        super().__init__(rows, batch, False, data.partial)
        self.order = Batches(whole, batch, True, "keep", seed, epoch, data.name).order[:rows]


def evaluation_call(opened: Opened) -> int:
    """The `call` of an evaluation's random keys, which its split alone decides; training has 0."""
    source = opened.data.name if opened.pairs is None else opened.pairs.name
    return stream_hash(f"evaluate:{source}.{opened.name}") >> 1
