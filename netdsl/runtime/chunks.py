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
from netdsl.runtime.capture import Captured, kept_bytes
from netdsl.runtime.datasets import Batch
from netdsl.runtime.host import Matrix, Read, as_matrix
from netdsl.runtime.session import Session
from netdsl.runtime.supply import Several, Supply

if TYPE_CHECKING:
    from netdsl.runtime.engine import Interpreter

Array = NDArray[Any]

MEMORY = 4_000_000  # bytes that a chunk may take
PATIENCE = 0.1  # seconds after which hooks hear of a run again


class Passed:
    """Batches that have run in one call, and the values that were wanted of each."""

    def __init__(
        self, session: Session, captured: Captured, several: Several, kept: dict[str, Array]
    ) -> None:
        self._session, self._captured, self._several = session, captured, several
        self._kept = kept
        self._stacked: dict[Key, Matrix] = {}

    def __len__(self) -> int:
        """Number of batches."""
        return len(self._several)

    @property
    def samples(self) -> int:
        """Samples of all of them."""
        return int(self._several.keys.size)

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
        self._tried = False

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
        interpreter, supply = self._interpreter, self._supply
        pace = self._session.paces.get(self._step.site)
        room = interpreter.room
        if pace is None or room < 2 or supply.rows > self._session.started:
            return 1
        if not self._tried:
            self._tried = True
            self._captured = interpreter.captured(self._step)
        if self._captured is None:
            return 1
        room = min(room, int(PATIENCE / max(pace, 1e-6)))
        held = supply.room + kept_bytes(self._session, self._captured.plan, supply.rows)
        return max(1, min(room, MEMORY // max(held, 1)))

    def _run(self, several: Several) -> bool:
        """Run batches in one call; False, and nothing is done, where their fields do not fit."""
        interpreter, session, captured = self._interpreter, self._session, self._captured
        if captured is None or not self._fits(several, captured):
            return False
        interpreter.before_batches(self._step)
        executor = session.executor
        executor.set_rows(several.rows, several.keys[0])
        session.set_host("batch.rows", float(several.rows))
        fed = {
            buffer.name: several.fed(field, executor.dtype)
            for buffer, field in session.sample_buffers
        }
        chunk = Chunk(fed, self._numbers(several), several.keys)
        kept = executor.run_chunk(captured.plan, chunk)
        batch = several.batch(len(several) - 1)
        session.follow(batch.fields, batch.keys, batch.index)
        interpreter.after_batches(Passed(session, captured, several, kept))
        return True

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
