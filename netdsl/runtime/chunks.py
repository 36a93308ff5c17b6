"""A loop over batches, run many batches at a time where the loop can be captured."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netdsl.backends.chunks import Chunk
from netdsl.ir.network import Place
from netdsl.ir.program import Key
from netdsl.ir.protocol import Each
from netdsl.runtime.capture import Captured, capture, kept_bytes
from netdsl.runtime.datasets import Batch
from netdsl.runtime.host import Matrix, Read, as_matrix
from netdsl.runtime.replays import Renewed, Replayed, replayed
from netdsl.runtime.session import Session
from netdsl.runtime.supply import Several, Supply

if TYPE_CHECKING:
    from netdsl.runtime.engine import Interpreter

Array = NDArray[Any]

MEMORY = 16_000_000  # bytes that a chunk may take
PATIENCE = 0.1  # seconds after which hooks hear of a run again


class Passed:
    """Batches that have run in one call, and the values that were wanted of each."""

    def __init__(
        self, session: Session, captured: Captured, several: Several, kept: dict[str, Array]
    ) -> None:
        self._session, self._captured, self._several = session, captured, several
        self._kept = kept
        self._stacked: dict[Key, Matrix] = {}

    def of(self, member: int) -> Passed:
        """What one member of an ensemble left, while the session means that one alone."""
        kept = {name: values[member] for name, values in self._kept.items()}
        return Passed(self._session, self._captured, self._several, kept)

    def __len__(self) -> int:
        """Number of batches."""
        return len(self._several)

    @property
    def samples(self) -> int:
        """Samples of all of them."""
        return len(self.last.keys) * len(self)

    @property
    def last(self) -> Batch:
        """The last batch, which is the one present."""
        return self._several.batch(len(self) - 1)

    def steady(self, key: Key) -> bool:
        """Is a value the same for all samples of all batches?"""
        return key not in self._captured.kept and key not in self._captured.fields

    def by_sample(self, key: Key) -> bool:
        """Is there one number, or one for each neuron, for every sample?"""
        places = (Place.ROW, Place.UNIT)
        return not self.steady(key) and self._session.place_of(key) in places

    def stacked(self, key: Key) -> Matrix:
        """A value of all samples, (batches * R, …), or one that is steady."""
        if key not in self._stacked:
            self._stacked[key] = as_matrix(self._value(key), self._session.place_of(key))
        return self._stacked[key]

    def _value(self, key: Key) -> Array:
        if key in self._captured.fields:
            return self._several.values(self._captured.fields[key])
        if key not in self._captured.kept:
            return self._session.value(key)
        value = self._kept[self._captured.kept[key]]
        return value.reshape(-1, *value.shape[2:]) if self.by_sample(key) else value

    def reader(self, batch: int) -> Read:
        """A function from keys to matrices as they were after one of the batches."""
        first, rows = batch * self._several.rows, self._several.rows

        def read(key: Key) -> Matrix:
            if self.by_sample(key):
                return self.stacked(key)[first : first + rows]
            if self.steady(key):
                return self.stacked(key)
            value = self._kept[self._captured.kept[key]][batch]
            return as_matrix(value, self._session.place_of(key))

        return read


class BatchLoop:
    """`each batch` or `each sample`: its batches one after the other, or several in one call."""

    def __init__(self, interpreter: Interpreter, step: Each, supply: Supply) -> None:
        self._interpreter, self._step, self._supply = interpreter, step, supply
        self._session = interpreter.session
        self._captured: Captured | None = None
        self._tried: list[bool] | None = None  # which memories were full when it was captured

    def run(self) -> None:
        """All batches that are left."""
        while count := self._supply.alike(self._most()):
            place = self._interpreter.place
            place.position[-1] = self._supply.number
            several = self._supply.take(count)
            started = time.perf_counter()
            if count == 1 or not self._run(several):
                for number in range(count):
                    batch = several.batch(number)
                    place.position[-1] = batch.index
                    self._interpreter.run_batch(self._step, batch)
            self._session.paces[self._step.site] = (time.perf_counter() - started) / count

    def _most(self) -> int:
        """How many batches may run in one call now."""
        pace, room = self._session.paces.get(self._step.site), self._interpreter.room
        if pace is None or room < 2:
            return 1
        captured = self._capture()
        if captured is None:
            return 1
        rows = self._supply.rows
        each = 1 if captured.replay else rows
        if captured.replay:
            rows = self._session.network.memories[captured.replay].size
        if rows > self._session.started:
            return 1
        # One by one they are slower, so that a few are tried where that is not known to be long.
        room = min(room, max(int(PATIENCE / max(pace, 1e-6)), 4 if pace < 2 * PATIENCE else 1))
        held = self._supply.room * rows // max(each, 1)
        held += kept_bytes(self._session, captured.plan, rows)
        return max(1, min(room, MEMORY // max(held, 1)))

    def _capture(self) -> Captured | None:
        """The loop's plan, made again when a memory has become full."""
        session, interpreter = self._session, self._interpreter
        sizes = session.network.memories
        full = [held.count == sizes[name].size for name, held in session.memories.items()]
        if self._tried != full:
            reads = interpreter.hooks.reads(interpreter)
            self._captured = capture(session, self._step.body, interpreter.clamps, reads)
            self._tried = full
        return self._captured

    def _run(self, several: Several) -> bool:
        """Run batches in one call; False, and nothing is done, where their fields do not fit."""
        session, captured = self._session, self._captured
        if captured is None:
            return False
        if captured.replay:
            if several.rows != 1:
                return False
            memory = session.network.memories[captured.replay]
            several = replayed(several, session.memories[captured.replay], memory)
        if not self._fits(several, captured):
            return False
        self._interpreter.before_batches(self._step)
        executor = session.executor
        executor.set_rows(several.rows, several.keys[0])
        session.set_host("batch.rows", float(several.rows))
        fed = {
            buffer.name: several.fed(field, executor.dtype)
            for buffer, field in session.sample_buffers
        }
        chunk = Chunk(fed, self._numbers(several), several.keys)
        kept = executor.run_chunk(captured.plan, chunk)
        self._follow(several, captured)
        self._after(Passed(session, captured, several, kept))
        return True

    def _follow(self, several: Several, captured: Captured) -> None:
        """The session and its memories are as the last batch leaves them."""
        session, interpreter = self._session, self._interpreter
        batch = interpreter.batch = several.batch(len(several) - 1)
        interpreter.idle = bool(session.memories) and not captured.phases
        fields = batch.fields
        if isinstance(several, Replayed | Renewed):
            held = session.memories[captured.replay] = several.last_held
            fields = held.fields
        session.follow(fields, several.keys[-1], batch.index)

    def _after(self, passed: Passed) -> None:
        interpreter = self._interpreter
        interpreter.place.position[-1] = passed.last.index
        if interpreter.training:
            interpreter.place.batches += len(passed)
        interpreter.hooks.after_batches(interpreter, passed)

    def _fits(self, several: Several, captured: Captured) -> bool:
        """Have the data all fields that are read, of the right widths, and 0 and 1 where asked?"""
        session = self._session
        wanted = [field for _, field in session.sample_buffers]
        if not all(several.has(field) for field in (*wanted, *captured.fields.values())):
            return False
        for buffer, field in session.sample_buffers:
            width = session.program.sizes[buffer.owner] if buffer.place is Place.UNIT else 1
            if several.width(field) != width:
                return False
        binary = (f for f in session.binary_fields if several.has(f))
        values = (several.values(field) for field in binary)
        return all(bool(((given == 0) | (given == 1)).all()) for given in values)

    def _numbers(self, several: Several) -> NDArray[np.float64]:
        """What differs from batch to batch of GLOBAL values, (batches, numbers)."""
        session, captured = self._session, self._captured
        count = len(captured.plan.numbers) if captured is not None else 0
        table = np.empty((len(several), count))
        scalars = session.program.host_scalars
        if count > len(scalars):
            table[:, 0] = np.arange(several.first, several.first + len(several))
        if scalars:
            for number in range(len(several)):
                table[number, count - len(scalars) :] = session.host_scalars(
                    several.batch(number).fields
                )
        return table
