"""Recorders: variables kept step by step while phases run.

Only phases of which something is recorded are run in parts, from one recorded step to the next; all
others stay one call.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.ir.network import Network, Place
from netdsl.ir.program import Key
from netdsl.ir.protocol import Protocol, Recorder, RunPhase, records, simulates
from netdsl.runtime.engine import PhaseRunner
from netdsl.runtime.host import Compiled, HostError
from netdsl.runtime.session import Session
from netdsl.runtime.whole import PER_SAMPLE, Arrays

Array = NDArray[Any]
_MAX_CODES = 10_000


def recorders_of(network: Network, protocol: Protocol, label: str) -> list[Recorder]:
    """What is recorded while a protocol runs, as the evaluation `label` or, with "", by itself: in
    training from data only what names its protocol."""
    if label:
        return [r for r in network.recorders if r.on in (None, label)]
    if simulates(protocol, network.protocols):
        return [r for r in network.recorders if r.on in (None, protocol.name)]
    return [r for r in network.recorders if r.on is None and r.within is not None]


class _Track:
    """One recorder: what it has taken so far, as (steps, samples, n) per batch, or as (steps, …) of
    what samples share."""

    def __init__(self, recorder: Recorder, session: Session) -> None:
        self.recorder, self._session = recorder, session
        self.shared = session.place_of(Key(recorder.variable)) not in PER_SAMPLE
        self.steps: list[Array] = []
        self.times: list[float] = []
        self.batches: list[tuple[Array, Array]] = []  # values and times
        self.samples, self.count = 0, 0

    def wants(self) -> int:
        """How many rows of the present batch to take."""
        rows, limit = self._session.rows, self.recorder.limit
        return rows if limit is None else max(0, min(rows, limit - self.samples))

    @property
    def ahead(self) -> int:
        """Steps until the next that is recorded has run."""
        return -self.count % max(1, self.recorder.every) + 1

    def step(self, steps: int, time: float) -> None:
        """So many steps have run, the last one up to `time`."""
        self.count += steps
        if (self.count - 1) % max(1, self.recorder.every) == 0:
            value = np.array(self._session.read(self.recorder.variable))
            value = value if self.shared else value[: self.wants()]
            units = list(self.recorder.units)
            self.steps.append(value[..., units] if units else value)
            self.times.append(time)

    def end_batch(self) -> None:
        if self.steps:
            self.batches.append((np.stack(self.steps), np.array(self.times)))
            self.samples += self.wants() if self.shared else self.batches[-1][0].shape[1]
        self.steps, self.times, self.count = [], [], 0

    def array(self) -> tuple[Array, Array] | None:
        """Values and times; batches are cut to the steps of the shortest."""
        if not self.batches:
            return None
        values, times = [v for v, _ in self.batches], [t for _, t in self.batches]
        if self.shared:
            return np.concatenate(values), np.concatenate(times)
        steps = min(len(batch) for batch in values)
        return np.concatenate([batch[:steps] for batch in values], axis=1), times[0][:steps]


class _Code:
    """The latent code of a recorded population: a vector readout of it, for every sample."""

    def __init__(self, population: str, session: Session) -> None:
        self.population, self._session = population, session
        self._compiled = self._find()
        self._values: list[Array] = []

    def _find(self) -> Compiled | None:
        """The first readout with a number per unit that reads this population alone."""
        network = self._session.network
        for readout in network.readouts.values():
            try:
                compiled = self._session.compiler().compile(readout.value)
            except HostError:
                continue
            owners = {key.of.rpartition(".")[0] for key in compiled.reads}
            if compiled.place is Place.UNIT and owners == {self.population}:
                return compiled
        return None

    def take(self) -> None:
        if self._compiled is not None:
            value = self._compiled.call(self._session.reader())
            self._values.append(value.astype(np.float32))

    def array(self) -> Array | None:
        return np.concatenate(self._values)[:_MAX_CODES] if self._values else None


class Recording:
    """All recorders of one evaluation `label`, or of a run (""); they share the phase's steps."""

    def __init__(self, session: Session, protocol: Protocol, label: str) -> None:
        self._session = session
        chosen = recorders_of(session.network, protocol, label)
        self._members = [_Member(session, chosen, bool(label)) for _ in session.each_member()]
        self._labels: list[Array] = []
        self.clock = 0  # steps of all phases so far

    @property
    def idle(self) -> bool:
        """Is nothing recorded, or nothing more?"""
        tracks = self._members[0].tracks
        return not any(t.recorder.limit is None or t.samples < t.recorder.limit for t in tracks)

    @property
    def empty(self) -> bool:
        """Is nothing recorded at all?"""
        return not self._members[0].tracks

    def phase(self, plain: PhaseRunner) -> PhaseRunner:
        """A phase runner that records, and is `plain` where nothing is to be recorded."""
        if self.empty:
            return plain

        def run(step: RunPhase, steps: int) -> None:
            tracks = self._members[0].tracks
            chosen = [k for k, t in enumerate(tracks) if records(t.recorder, step) and t.wants()]
            if not chosen or steps == 0:
                plain(step, steps)
            else:
                self._in_parts(step, steps, chosen)
            self.clock += steps

        return run

    def _in_parts(self, step: RunPhase, steps: int, chosen: list[int]) -> None:
        """A phase, from one recorded step to the next."""
        before, done = self._steps_before(), 0
        while done < steps:
            ahead = min(self._members[0].tracks[k].ahead for k in chosen)
            part = min(ahead, steps - done)
            last = done + part if done + part < steps else None
            self._session.executor.call(step.site, steps, done, last)
            done += part
            for number in self._session.each_member():
                for k in chosen:
                    track = self._members[number].tracks[k]
                    track.step(part, (self.clock if track.shared else before) + done)

    def _steps_before(self) -> int:
        """Steps of the presentation that have run."""
        name = self._session.program.find("t")
        value = 0.0 if name is None else self._session.executor.read(name)
        return int(np.ravel(value)[0])

    def end_batch(self) -> None:
        """Close the present batch's recordings."""
        wanted = not self.empty and self._members[0].labelled
        if wanted and "label" in self._session.fields:
            self._labels.append(np.asarray(self._session.fields["label"]))
        for number in self._session.each_member():
            self._members[number].end_batch()

    def end_row(self) -> None:
        """Without data: what comes is another sample."""
        for member in self._members:
            member.end_row()

    def arrays(self) -> Arrays:
        """Recorded variables (steps, samples, n), what samples share (steps, …), times as `P.x.ms`
        or `P.x.steps`, codes as `P.rate` (samples, n), and labels; of an ensemble members lead in
        all but the labels.

        A code is the readout of a recorded population, or else the mean over the recorded steps.
        """
        each = [member.arrays() for member in self._members]
        found = each[0]
        samples = [len(a) for key, a in found.items() if key.endswith(".rate")]
        samples += [track.samples for track in self._members[0].tracks if not track.shared]
        if self._session.members:
            found = {key: np.stack([one[key] for one in each]) for key in found}
        labels = np.concatenate(self._labels) if self._labels else np.zeros(0)
        if 0 < max(samples, default=0) <= len(labels):  # rows without data have none
            found["label"] = labels[: max(samples)]
        return found

    # ------------------------------------------------------------- over stops

    def state(self) -> Arrays:
        """What has been taken, by names of its own, for a checkpoint."""
        if self.empty:
            return {}
        found: Arrays = {"clock": np.array(self.clock)}
        if self._labels:
            found["labels"] = np.concatenate(self._labels)
        for name, track in self._named():
            found[f"{name}.at"] = np.array([track.samples, track.count, len(track.batches)])
            parts = [*track.batches]
            if track.steps:
                parts.append((np.stack(track.steps), np.array(track.times)))
            for number, (values, times) in enumerate(parts):
                found |= {f"{name}.{number}.x": values, f"{name}.{number}.t": times}
        return found

    def restore(self, found: Arrays) -> None:
        """Put back what `state` gave. Raises KeyError, ValueError where it is not of this run."""
        if not found or self.empty:
            return
        self.clock = int(found["clock"])
        self._labels = [found["labels"]] if "labels" in found else []
        for name, track in self._named():
            track.samples, track.count, batches = (int(n) for n in found[f"{name}.at"])
            for number in range(batches + (f"{name}.{batches}.x" in found)):
                values, times = found[f"{name}.{number}.x"], found[f"{name}.{number}.t"]
                if number < batches:
                    track.batches.append((values, times))
                else:
                    track.steps, track.times = list(values), [float(t) for t in times]

    def _named(self) -> Iterator[tuple[str, _Track]]:
        for m, member in enumerate(self._members):
            yield from ((f"{m}.{k}", track) for k, track in enumerate(member.tracks))


class _Member:
    """The recorders of one network."""

    def __init__(self, session: Session, chosen: list[Recorder], coded: bool) -> None:
        self._session = session
        self.tracks = [_Track(recorder, session) for recorder in chosen]
        owners = dict.fromkeys(r.variable.rpartition(".")[0] for r in chosen)
        self._codes = [_Code(owner, session) for owner in owners] if coded else []

    @property
    def labelled(self) -> bool:
        """Is something taken of the samples that are present?"""
        return bool(self._codes) or any(t.steps and not t.shared for t in self.tracks)

    def end_batch(self) -> None:
        for code in self._codes:
            code.take()
        self.end_row()

    def end_row(self) -> None:
        for track in self.tracks:
            track.end_batch()

    def arrays(self) -> Arrays:
        self.end_row()  # phases outside `each batch`
        found: Arrays = {}
        for code in self._codes:
            codes = code.array()
            if codes is not None:
                found[f"{code.population}.rate"] = codes
        dt = self._session.network.dt
        unit, scale = ("steps", 1.0) if dt is None else ("ms", dt * 1e3)
        for track in self.tracks:
            array = track.array()
            if array is not None:
                found[track.recorder.variable] = array[0]
                found[f"{track.recorder.variable}.{unit}"] = array[1] * scale  # at ends of steps
                owner = track.recorder.variable.rpartition(".")[0]
                if not track.shared and owner in self._session.network.populations:
                    found.setdefault(f"{owner}.rate", array[0].mean(axis=0))
        return found
