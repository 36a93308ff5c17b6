"""The data of a network: sources opened once, splits by name, batches with their random keys."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from netdsl.diagnostics import NO_SPAN, Diagnostic, DiagnosticError, Span
from netdsl.ir.network import Network
from netdsl.ir.protocol import Data, Pairs, SplitRef
from netdsl.runtime.data import (
    Batches,
    Generator,
    PairContext,
    Split,
    load_source,
    make_pairs,
    positive_only,
)
from netdsl.runtime.data.source import place_of
from netdsl.runtime.errors import RunFault
from netdsl.streams.draws import row_key, stream_hash

Array = NDArray[Any]


@dataclass(frozen=True)
class Batch:
    """Fields of one batch (R, ...), the keys of its rows (R,), and its number in the epoch."""

    fields: Mapping[str, Array]
    keys: NDArray[np.uint64]
    index: int
    samples: NDArray[np.int64]


@dataclass(frozen=True)
class Indexed:
    """A pass over stored samples as a whole: batch `b` has rows `b * size` to `(b + 1) * size` of
    `order` (M,), which are rows of the split's arrays (`Datasets.whole`); the last may be smaller.

    `keys` (M,) are the random keys of these rows, `samples` (M,) their indices in the whole source.
    """

    order: NDArray[np.int64]
    keys: NDArray[np.uint64]
    samples: NDArray[np.int64]
    size: int

    def __len__(self) -> int:
        """Number of batches."""
        return -(-len(self.order) // self.size)


@dataclass(frozen=True)
class Opened:
    """A split that can be drawn from: `offset` is its first sample's index in the whole source."""

    data: Data
    pairs: Pairs | None
    split: Split
    offset: int
    name: str
    generator: Generator | None = None  # of a task: `split` has samples of its kind

    @property
    def rows(self) -> int:
        """Samples in a pass."""
        return self.split.rows if self.generator is None else self.generator.size

    @property
    def stored(self) -> bool:
        """Whether a row is the same sample whenever it is presented: nothing is drawn anew."""
        return self.generator is None and self.pairs is None


def fault_at(fault: RunFault, span: Span | None) -> DiagnosticError:
    """A runtime fault as a diagnostic with a place in the spec."""
    return DiagnosticError(
        Diagnostic(fault.code, fault.message, span or NO_SPAN, help=fault.help or None)
    )


class Datasets:
    """Opens what a network's `data` declarations name.

    `paths`: files or folders by declaration (`--data name=PATH`), relative to the working folder;
    `base`: where relative sources of the spec start. Faults carry the declaration's line.
    """

    def __init__(self, network: Network, paths: Mapping[str, str], base: Path, seed: int) -> None:
        self._network, self._paths, self._base, self._seed = network, dict(paths), base, seed
        self._sources: dict[str, dict[str, Split]] = {}
        self._opened: dict[tuple[str, str], Opened] = {}
        self._whole: dict[tuple[str, str, str, str], Array] = {}
        self._check_names()

    def _check_names(self) -> None:
        from netdsl.diagnostics import did_you_mean

        for name in self._paths:
            if name not in self._network.data:
                have = ", ".join(self._network.data) or "none"
                hint = did_you_mean(name, self._network.data) or f"the spec declares: {have}"
                raise RunFault("E0701", f"the spec declares no data `{name}`", hint)

    def open(self, ref: SplitRef) -> Opened:
        """The split that a reference names. Raises DiagnosticError E07xx."""
        key = (ref.source, ref.split)
        if key not in self._opened:
            pairs = self._network.pairs.get(ref.source)
            data = self._network.data[pairs.data if pairs is not None else ref.source]
            try:
                self._opened[key] = self._open(data, pairs, ref.split)
            except RunFault as fault:
                raise fault_at(fault, data.span) from None
        return self._opened[key]

    def _source(self, data: Data) -> dict[str, Split]:
        if data.name not in self._sources:
            path = self._paths.get(data.name)
            base = Path() if path is not None else self._base
            self._sources[data.name] = load_source(
                data.source, path, base, data.settings, data.name
            )
        return self._sources[data.name]

    def places(self) -> dict[str, str]:
        """Absolute paths of the files or folders that declarations read, by declaration."""
        found = {}
        for name, data in self._network.data.items():
            place = self._place(data)
            if place is not None:
                found[name] = str(place.resolve())
        return found

    def _place(self, data: Data) -> Path | None:
        path = self._paths.get(data.name)
        return place_of(data.source, path, Path() if path is not None else self._base)

    def checksums(self) -> dict[str, str]:
        """Check sums of the sources opened so far, by declaration."""
        found = {}
        for name, source in self._sources.items():
            total = 0
            for split in source.values():
                total = split.checksum(total)
            found[name] = f"{total:08x}"
        return found

    def _open(self, data: Data, pairs: Pairs | None, name: str) -> Opened:
        if data.task is not None:
            return self._generated(data, name)
        source = self._source(data)
        origin, first, last = data.splits.get(name, (name, None, None))
        if origin not in source:
            have = ", ".join(f"{key} ({split.rows})" for key, split in source.items())
            raise RunFault("E0710", f"data has no split `{origin}`", f"its splits are: {have}")
        whole = source[origin]
        start = first or 0
        stop = whole.rows if last is None else last
        cut = whole if (start, stop) == (0, whole.rows) else whole.slice(start, stop, origin)
        before = 0
        for key, split in source.items():
            if key == origin:
                break
            before += split.rows
        return Opened(data, pairs, cut, before + start, name)

    def _generated(self, data: Data, name: str) -> Opened:
        """A task, or the file that stands for it: its first split, whatever it is called."""
        if data.name in self._paths:
            return Opened(data, None, next(iter(self._source(data).values())), 0, name)
        generator = Generator(data, self._seed)
        call = stream_hash(f"shape:{data.name}") >> 1
        keys = row_key(call, 0, np.arange(data.batch))
        fields = generator.fields(keys, np.atleast_1d(row_key(call, 0, 0)))
        label = fields.get("label")
        classes = None if label is None else int(label.max()) + 1
        return Opened(data, None, Split(fields, classes=classes), 0, name, generator)

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
        call = 0 if training else evaluation_call(opened)
        plan = self.plan(opened, training=training, epoch=epoch, size=size, samples=samples)
        for index, chosen in enumerate(plan):
            if index >= first:
                when = epoch if training else 0
                yield self._batch(opened, chosen, index, when, call, repetition)

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
        if not opened.stored:
            return None
        plan = self.plan(opened, training=training, epoch=epoch, size=size, samples=samples)
        order = np.ascontiguousarray(plan.rows, np.int64)
        numbers = order + opened.offset
        call, when = (0, epoch) if training else (evaluation_call(opened), 0)
        keys = row_key(call, when, numbers, 0, repetition)
        return Indexed(order, keys, numbers, plan.batch)

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

    def whole(self, opened: Opened, field: str, dtype: DTypeLike) -> Array:
        """A field of all stored samples of a split, (n,) or (n, width), in C order and in a run's
        number type; converted once. With `positive` and `shown_label`, as a batch has them.
        Raises DataError E0711."""
        split, kind = opened.split, np.dtype(dtype)
        key = (opened.data.name, opened.name, field, kind.name)
        if key not in self._whole:
            if field == "positive" and field not in split.fields:
                values: Array = np.ones(split.rows)
            elif field == "shown_label" and field not in split.fields:
                values = split.field("label")
            else:
                values = split.field(field)
            self._whole[key] = np.ascontiguousarray(values, kind)
        return self._whole[key]

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
        samples = chosen + opened.offset
        fields = opened.split.take(chosen)
        if opened.pairs is None:
            streams = positive_only(fields, samples)
        else:
            pairs = opened.pairs
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
