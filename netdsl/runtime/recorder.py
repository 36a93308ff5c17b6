"""Recorders: variables kept step by step for a few samples of an evaluation.

Only batches that hold recorded samples are run one step at a time; all others stay one call.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.ir.protocol import Recorder, RunPhase
from netdsl.runtime.engine import PhaseRunner
from netdsl.runtime.session import Session

Array = NDArray[Any]


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


class Recording:
    """All recorders of one evaluation `label`; they share the phase's steps."""

    def __init__(self, session: Session, label: str) -> None:
        self._session = session
        chosen = [r for r in session.network.recorders if r.on in (None, label)]
        self._tracks = [_Track(recorder, session) for recorder in chosen]
        self._labels: list[Array] = []

    def phase(self, plain: PhaseRunner) -> PhaseRunner:
        """A phase runner that records, and is `plain` where nothing is to be recorded."""

        def run(step: RunPhase, steps: int) -> None:
            if not any(track.wants() for track in self._tracks) or steps == 0:
                plain(step, steps)
                return
            for index in range(steps):
                last = index + 1 if index + 1 < steps else None
                self._session.executor.call(step.site, steps, index, last)
                for track in self._tracks:
                    track.step()

        return run

    def end_batch(self) -> None:
        """Close the present batch's recordings."""
        wanted = max((track.wants() for track in self._tracks), default=0)
        if wanted and "label" in self._session.fields:
            self._labels.append(np.asarray(self._session.fields["label"])[:wanted])
        for track in self._tracks:
            track.end_batch()

    def arrays(self) -> dict[str, Array]:
        """Recorded variables (steps, samples, n), their mean over steps as `P.rate` for spikes,
        and the samples' labels."""
        found: dict[str, Array] = {}
        for track in self._tracks:
            array = track.array()
            if array is not None:
                found[track.recorder.variable] = array
                owner = track.recorder.variable.split(".", 1)[0]
                found.setdefault(f"{owner}.rate", array.mean(axis=0))
        if found and self._labels:
            found["label"] = np.concatenate(self._labels)
        return found
