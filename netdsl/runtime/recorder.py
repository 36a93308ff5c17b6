"""Recorders: variables kept step by step for a few samples of an evaluation.

Only batches that hold recorded samples are run one step at a time; all others stay one call.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.ir.network import Place
from netdsl.ir.protocol import Recorder, RunPhase
from netdsl.runtime.engine import PhaseRunner
from netdsl.runtime.host import Compiled, HostError
from netdsl.runtime.session import Session

Array = NDArray[Any]
_MAX_CODES = 10_000


class _Track:
    """One recorder: what it has taken so far, as (steps, samples, n) per batch."""

    def __init__(self, recorder: Recorder, session: Session) -> None:
        self.recorder, self._session = recorder, session
        self._steps: list[Array] = []
        self._batches: list[Array] = []
        self.samples = 0
        self._count = 0

    def wants(self) -> int:
        """How many rows of the present batch to take."""
        rows, limit = self._session.rows, self.recorder.limit
        return rows if limit is None else max(0, min(rows, limit - self.samples))

    def step(self) -> None:
        if self._count % max(1, self.recorder.every) == 0 and self.wants():
            value = self._session.read(self.recorder.variable)
            self._steps.append(np.array(value[: self.wants()]))
        self._count += 1

    def end_batch(self) -> None:
        if self._steps:
            self._batches.append(np.stack(self._steps))
            self.samples += self._batches[-1].shape[1]
        self._steps, self._count = [], 0

    def array(self) -> Array | None:
        if not self._batches:
            return None
        steps = min(len(batch) for batch in self._batches)
        return np.concatenate([batch[:steps] for batch in self._batches], axis=1)


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
    """All recorders of one evaluation `label`; they share the phase's steps."""

    def __init__(self, session: Session, label: str) -> None:
        self._session = session
        self._members = [_Member(session, label) for _ in session.each_member()]
        self._labels: list[Array] = []

    @property
    def idle(self) -> bool:
        """Is nothing recorded?"""
        return not self._members[0].tracks

    def phase(self, plain: PhaseRunner) -> PhaseRunner:
        """A phase runner that records, and is `plain` where nothing is to be recorded."""
        if self.idle:
            return plain

        def run(step: RunPhase, steps: int) -> None:
            if not any(track.wants() for track in self._members[0].tracks) or steps == 0:
                plain(step, steps)
                return
            for index in range(steps):
                last = index + 1 if index + 1 < steps else None
                self._session.executor.call(step.site, steps, index, last)
                for number in self._session.each_member():
                    for track in self._members[number].tracks:
                        track.step()

        return run

    def end_batch(self) -> None:
        """Close the present batch's recordings."""
        if self._members[0].tracks and "label" in self._session.fields:
            self._labels.append(np.asarray(self._session.fields["label"]))
        for number in self._session.each_member():
            self._members[number].end_batch()

    def arrays(self) -> dict[str, Array]:
        """Recorded variables (steps, samples, n), codes as `P.rate` (samples, n), and labels; of an
        ensemble members lead in all but the labels.

        A code is the readout of a recorded population, or else the mean over the recorded steps.
        """
        each = [member.arrays() for member in self._members]
        found = each[0]
        rates = [len(a) for key, a in found.items() if key.endswith(".rate")]
        if self._session.members:
            found = {key: np.stack([one[key] for one in each]) for key in found}
        if found and self._labels:
            found["label"] = np.concatenate(self._labels)[: max(rates)]
        return found


class _Member:
    """The recorders of one network."""

    def __init__(self, session: Session, label: str) -> None:
        chosen = [r for r in session.network.recorders if r.on in (None, label)]
        self.tracks = [_Track(recorder, session) for recorder in chosen]
        owners = dict.fromkeys(r.variable.rpartition(".")[0] for r in chosen)
        self._codes = [_Code(owner, session) for owner in owners]

    def end_batch(self) -> None:
        for code in self._codes:
            code.take()
        for track in self.tracks:
            track.end_batch()

    def arrays(self) -> dict[str, Array]:
        for track in self.tracks:
            track.end_batch()  # phases outside `each batch`
        found: dict[str, Array] = {}
        for code in self._codes:
            codes = code.array()
            if codes is not None:
                found[f"{code.population}.rate"] = codes
        for track in self.tracks:
            array = track.array()
            if array is not None:
                found[track.recorder.variable] = array
                owner = track.recorder.variable.rpartition(".")[0]
                found.setdefault(f"{owner}.rate", array.mean(axis=0))
        return found
