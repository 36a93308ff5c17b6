"""Opening what `data` and `task` declarations name: each source once, splits by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.diagnostics import NO_SPAN, Diagnostic, DiagnosticError, Span
from netdsl.ir.network import Network
from netdsl.ir.protocol import Data, Pairs, SplitRef
from netdsl.runtime.data import Augmenter, Generator, Split, choose_split, load_source
from netdsl.runtime.data.source import place_of
from netdsl.runtime.errors import RunFault
from netdsl.streams.draws import row_key, stream_hash

Array = NDArray[Any]


@dataclass(frozen=True)
class Opened:
    """A split that can be drawn from: `offset` is its first sample's index in the whole source."""

    data: Data
    pairs: Pairs | None
    split: Split
    offset: int
    name: str
    generator: Generator | None = None  # of an endless task: `split` has samples of its kind
    augment: Augmenter | None = None  # what training does to images

    @property
    def rows(self) -> int:
        """Samples in a pass."""
        task = self.data.task
        return self.split.rows if self.generator is None or task is None else task.size

    @property
    def stored(self) -> bool:
        """Whether a row is the same sample whenever it is presented: nothing is drawn anew."""
        return self.generator is None and self.pairs is None and self.augment is None


def fault_at(fault: RunFault, span: Span | None) -> DiagnosticError:
    """A runtime fault as a diagnostic with a place in the spec."""
    return DiagnosticError(
        Diagnostic(fault.code, fault.message, span or NO_SPAN, help=fault.help or None)
    )


class Sources:
    """Opens what a network's `data` declarations name.

    `paths`: files or folders by declaration (`--data name=PATH`), relative to the working folder;
    `base`: where relative sources of the spec start. Faults carry the declaration's line.
    """

    def __init__(self, network: Network, paths: Mapping[str, str], base: Path, seed: int) -> None:
        self._network, self._paths, self._base, self._seed = network, dict(paths), base, seed
        self._sources: dict[str, dict[str, Split]] = {}
        self._opened: dict[tuple[str, str], Opened] = {}
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
            source = load_source(data.source, path, base, data.settings, data.name)
            if data.task is None:
                source = self._with_draws(data, source)
            self._sources[data.name] = source
        return self._sources[data.name]

    def _with_draws(self, data: Data, source: dict[str, Split]) -> dict[str, Split]:
        """The splits of a source with what the spec draws for each of its samples."""
        if not data.fields:
            return source
        taken = sorted(
            {f.name for f in data.fields} & {n for s in source.values() for n in s.fields}
        )
        if taken:
            raise RunFault(
                "E0719",
                f"the source has a field `{taken[0]}`, and the spec draws one of that name",
                "give the drawn one another name",
            )
        rows = [split.rows for split in source.values()]
        drawn = Generator(data, self._seed).stored(sum(rows))
        found, first = {}, 0
        for (name, split), count in zip(source.items(), rows, strict=True):
            own = {key: array[first : first + count] for key, array in drawn.items()}
            found[name] = Split({**split.fields, **own}, split.shapes, split.classes)
            first += count
        return found

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
            return self._of_task(data, name)
        source = self._source(data)
        origin, first, last = data.splits.get(name, (name, None, None))
        whole, before = _part(source, origin)
        start = first or 0
        stop = whole.rows if last is None else last
        cut = whole if (start, stop) == (0, whole.rows) else whole.slice(start, stop, origin)
        augment = data.augment.get(name)
        path = f"{data.name}.augment"
        offset = before + start
        made = None if augment is None else Augmenter(augment, cut, offset, path, self._seed)
        return Opened(data, pairs, cut, offset, name, augment=made)

    def _of_task(self, data: Data, name: str) -> Opened:
        """A task, or the file that stands for it: of an endless one its first split, whatever it is
        called."""
        task = data.task
        assert task is not None
        generator = Generator(data, self._seed)
        if data.name in self._paths:
            source = self._source(data)
            if not task.finite:
                return Opened(data, None, next(iter(source.values())), 0, name)
            split, offset = _part(source, name)
            return Opened(data, None, split, offset, name)
        if not task.finite:
            call = stream_hash(f"shape:{data.name}") >> 1
            keys = row_key(call, 0, np.arange(data.batch))
            split = _as_split(generator.fields(keys, np.atleast_1d(row_key(call, 0, 0))))
            return Opened(data, None, split, 0, name, generator)
        if name not in data.splits:
            have = ", ".join(data.splits)
            raise RunFault("E0710", f"task has no split `{name}`", f"its splits are: {have}")
        _, first, last = data.splits[name]
        whole = _as_split(generator.stored(task.size))
        return Opened(
            data, None, whole.slice(first or 0, last or task.size, name), first or 0, name
        )


def _part(source: Mapping[str, Split], name: str) -> tuple[Split, int]:
    """A split of a source, and how many samples stand before it."""
    found = choose_split(source, name)
    before = [split.rows for split in source.values()][: list(source).index(name)]
    return found, sum(before)


def _as_split(fields: Mapping[str, Array]) -> Split:
    """Samples that a task has drawn."""
    label = fields.get("label")
    return Split(fields, classes=None if label is None else int(label.max()) + 1)
