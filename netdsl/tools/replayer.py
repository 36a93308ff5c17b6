"""The machine behind `replay`: drives a protocol's batch body from a trace and compares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netdsl.ir.network import Place as Where
from netdsl.ir.program import PHASE, Key
from netdsl.ir.protocol import Choose, Each, Push, Repeat, RunPhase, SetGlobal, Step
from netdsl.runtime.datasets import Batch
from netdsl.runtime.engine import Interpreter, Options
from netdsl.runtime.errors import RunFault
from netdsl.runtime.memories import empty
from netdsl.runtime.metrics import phases_of
from netdsl.runtime.session import Session
from netdsl.streams.draws import row_key
from netdsl.tools.replay import Difference, Presentation, ReplayReport, Trace, tolerance_of

if TYPE_CHECKING:
    from netdsl.runtime.model import Model

Array = NDArray[Any]


class _Track:
    """Differences of one key, growing while the trace is replayed."""

    def __init__(self, key: str, kind: str, tolerance: float) -> None:
        self.key, self.kind, self.tolerance = key, kind, tolerance
        self.largest = 0.0
        self.scale = 0.0
        self.unequal = self.size = 0
        self.worst: tuple[int, ...] = ()
        self.first: tuple[int, ...] | None = None
        self.pair = (0.0, 0.0)
        self.missing = ""

    def add(self, actual: Array, expected: Array, place: tuple[int, ...]) -> None:
        """Compare arrays of one step; `place` is (presentation, step) or (presentation,)."""
        if actual.shape != expected.shape:
            if actual.size != expected.size:
                self.missing = f"shape {actual.shape}, the trace has {expected.shape}"
                return
            expected = expected.reshape(actual.shape)
        actual64, expected64 = actual.astype(np.float64), expected.astype(np.float64)
        with np.errstate(invalid="ignore"):
            gap = np.abs(actual64 - expected64)
        gap = np.where(actual64 == expected64, 0.0, np.where(np.isnan(gap), np.inf, gap))
        gap = np.where(np.isnan(actual64) & np.isnan(expected64), 0.0, gap)
        self.size += gap.size
        self.unequal += int(np.count_nonzero(gap))
        finite = np.abs(expected64[np.isfinite(expected64)])
        self.scale = max(self.scale, float(finite.max(initial=0.0)))
        self._note(gap, actual64, expected64, place)

    def _note(self, gap: Array, actual: Array, expected: Array, place: tuple[int, ...]) -> None:
        if not gap.size:
            return
        where = np.unravel_index(int(np.argmax(gap)), gap.shape)
        largest = float(gap[where])
        if largest > self.largest or not self.worst:
            self.worst = (*place, *(int(i) for i in where))
            self.largest = largest
            self.pair = (float(actual[where]), float(expected[where]))
        if self.first is None and largest > self.tolerance:
            first = np.argwhere(gap > self.tolerance)[0] if gap.ndim else ()
            self.first = (*place, *(int(i) for i in first))

    def result(self) -> Difference:
        return Difference(
            path=self.key,
            kind=self.kind,
            tolerance=self.tolerance,
            largest=self.largest,
            relative=self.largest / self.scale if self.scale else self.largest,
            unequal=self.unequal,
            size=self.size,
            worst=self.worst,
            first=self.first,
            actual=self.pair[0],
            expected=self.pair[1],
            missing=self.missing,
        )


class Replayer:
    """Replays a trace on a model; `run` gives the report."""

    def __init__(
        self,
        model: Model,
        trace: Trace,
        tolerance: float | Mapping[str, float],
        keep: tuple[str, ...],
    ) -> None:
        self._model, self._trace = model, trace
        self._tolerance, self._keep = tolerance, frozenset(keep)
        self._tracks: dict[str, _Track] = {}
        self._values: dict[str, list[Array]] = {}

    def run(self) -> ReplayReport:
        """Replay all presentations in order."""
        rows = [_rows(presentation) for presentation in self._trace.presentations]
        self._model.reserve(max(rows, default=1), exact=True)
        session = self._model.session
        empty(session)
        for path, value in self._trace.init.items():
            session.write(path, value)
        for index, presentation in enumerate(self._trace.presentations):
            self._present(session, index, presentation)
        return ReplayReport(
            {key: track.result() for key, track in self._tracks.items()},
            {key: tuple(arrays) for key, arrays in self._values.items()},
        )

    def _present(self, session: Session, index: int, presentation: Presentation) -> None:
        loop = _innermost(session, presentation.protocol)
        rows = _rows(presentation)
        keys = row_key(0, 0, np.arange(rows), 0, index)
        epoch = int(presentation.globals.get("epoch", 0))
        number = int(presentation.globals.get("batch.index", index))
        session.load(presentation.sample, keys, number, epoch)
        for path, number_ in presentation.globals.items():
            session.set_host(path, float(number_))
        for path, value in presentation.state.items():
            session.write(path, value)
        batch = Batch(session.fields, keys, number, np.arange(rows))
        run = _Body(self, session, index, presentation, loop, batch)
        run.block(loop.body)
        run.end()

    def compare(
        self, key: str, kind: str, path: str, expected: Array, place: tuple[int, ...]
    ) -> None:
        """Compare one variable now."""
        track = self._tracks.get(key)
        if track is None:
            track = _Track(key, kind, tolerance_of(key, self._tolerance))
            self._tracks[key] = track
        try:
            actual = self._model.session.read(path)
        except RunFault as fault:
            track.missing = fault.message
            return
        track.add(actual, np.asarray(expected), place)
        if key in self._keep:
            self._values.setdefault(key, []).append(np.array(actual))

    def stack(self, key: str, count: int) -> None:
        """Join the last `count` kept steps of a key into one array."""
        kept = self._values.get(key)
        if kept is not None and count and len(kept) >= count:
            kept[-count:] = [np.stack(kept[-count:])]


class _Body(Interpreter):
    """One presentation: feeds and comparisons around every step."""

    def __init__(
        self,
        owner: Replayer,
        session: Session,
        index: int,
        presentation: Presentation,
        loop: Each,
        batch: Batch,
    ) -> None:
        options = Options(choice=owner._model.choice)
        super().__init__(session, owner._model.datasets, options=options, label="replay")
        self._owner, self._index, self._presentation = owner, index, presentation
        self._phases = phases_of(loop.body)
        self._done: dict[str, int] = {}
        self.batch = batch
        self.phase = self._stepwise
        for key in (*presentation.feed, *presentation.expect):
            self._check(key)

    def _check(self, key: str) -> None:
        phase, _, _ = key.rpartition("/")
        if phase and phase not in self._phases:
            have = ", ".join(sorted(self._phases))
            raise RunFault("E0741", f"trace key `{key}`: no phase `{phase}`", f"phases: {have}")
        if not phase and len(self._phases) != 1:
            raise RunFault(
                "E0741",
                f"trace key `{key}` does not say which phase",
                f"write `PHASE/{key}`, PHASE one of {', '.join(sorted(self._phases))}",
            )

    def push(self, step: Push) -> None:
        """A presentation gives all slots of a replay as its rows; a window goes on between them."""
        memory = self.session.network.memories[step.memory]
        if memory.kind != "replay":
            super().push(step)
            return
        if self.session.rows != memory.size:
            raise RunFault(
                "E0741",
                f"presentation {self._index} has {self.session.rows} samples, and `{memory.name}`"
                f" keeps {memory.size}",
                "give the samples of all slots, the newest last",
            )
        if step.site in self.session.program.routines:
            self.session.executor.call(step.site)
        self.session.set_host(f"{memory.name}.full", 1.0)

    def set_global(self, step: SetGlobal) -> None:
        if step.target in self._presentation.globals:
            value = float(self._presentation.globals[step.target])
            self.session.set_host(step.target, value)
        else:
            super().set_global(step)

    def _of_phase(self, values: Mapping[str, Array], phase: str) -> list[tuple[str, str, Array]]:
        """(key, path, array) of the keys that concern a phase."""
        found = []
        for key, array in values.items():
            named, _, path = key.rpartition("/")
            if named in ("", phase):
                found.append((key, path, np.asarray(array)))
        return found

    def _stepwise(self, step: RunPhase, steps: int) -> None:
        feeds = self._of_phase(self._presentation.feed, step.name)
        expects = self._of_phase(self._presentation.expect, step.name)
        offset = self._done.get(step.name, 0)
        shift = {key: self._has_start(key, array, steps) for key, _, array in expects}
        if offset == 0 and any(shift.values()):
            self._compare_start(step, steps, [e for e in expects if shift[e[0]]])
        for index in range(steps):
            self._feed(feeds, offset + index)
            last = index + 1 if index + 1 < steps else None
            self.session.executor.call(step.site, steps, index, last)
            for key, path, array in expects:
                at = offset + index + shift[key]
                if at < len(array):
                    self._owner.compare(key, "step", path, array[at], (self._index, at))
        if steps == 0:
            self.session.executor.call(step.site, 0)
        self._done[step.name] = offset + steps
        for key, _, array in expects:
            self._owner.stack(key, min(steps + shift[key], len(array)))
        self._finals(step.name)

    def _has_start(self, key: str, array: Array, steps: int) -> int:
        return int(len(array) == steps + 1)

    def _feed(self, feeds: list[tuple[str, str, Array]], at: int) -> None:
        for key, path, array in feeds:
            name = self.session.program.find(path, "feed")
            if name is None:
                raise RunFault(
                    "E0741", f"trace key `{key}`: `{path}` is not drawn", "feed a `~` variable"
                )
            if at < len(array):
                self.session.require_binary(name, array[at], path)
                self.session.executor.write(name, array[at])

    def _compare_start(
        self, step: RunPhase, steps: int, expects: list[tuple[str, str, Array]]
    ) -> None:
        """Compare what holds before the first step, with clamps and entry actions done.

        They are run once for the comparison and undone, since the first step runs them again.
        """
        session = self.session
        before = {
            name: session.executor.read(name)
            for name, buffer in session.program.buffers.items()
            if buffer.place is not Where.SYNAPSE
        }
        session.executor.call(step.site, steps, 0, 0)
        for key, path, array in expects:
            self._owner.compare(key, "step", path, array[0], (self._index, 0))
        for name, value in before.items():
            session.executor.write(name, value)

    def _finals(self, phase: str) -> None:
        for key, array in self._presentation.final.items():
            named, _, path = key.rpartition("/")
            if named == phase:
                of, tag = self.session.program.key(path)
                ended = Key(of, tag or PHASE + phase)
                known = self.session.program.find(*ended) is not None
                source = str(ended) if known else path
                self._owner.compare(f"final {key}", "final", source, array, (self._index,))

    def end(self) -> None:
        """Compare what is expected at the end of the body."""
        for key, array in self._presentation.final.items():
            if "/" not in key:
                self._owner.compare(f"final {key}", "final", key, array, (self._index,))
        for path, array in self._presentation.update.items():
            self._owner.compare(f"update {path}", "update", path, array, (self._index,))


def _rows(presentation: Presentation) -> int:
    for array in presentation.sample.values():
        return len(array)
    for array in presentation.feed.values():
        return int(np.asarray(array).shape[1])
    return 1


def _innermost(session: Session, name: str) -> Each:
    protocol = session.network.protocols.get(name)
    if protocol is None:
        have = ", ".join(session.network.protocols)
        raise RunFault("E0741", f"the spec has no protocol `{name}`", f"it has {have}")
    found = _loop_of(protocol.body)
    if found is None:
        raise RunFault("E0741", f"protocol `{name}` has no `each batch`", "a trace drives its body")
    return found


def _loop_of(steps: tuple[Step, ...]) -> Each | None:
    for step in steps:
        inner: Each | None = None
        if isinstance(step, Each):
            inner = _loop_of(step.body) or (step if step.of is not None else None)
        elif isinstance(step, Repeat):
            inner = _loop_of(step.body)
        elif isinstance(step, Choose):
            inner = _loop_of(step.then) or _loop_of(step.otherwise)
        if inner is not None:
            return inner
    return None
