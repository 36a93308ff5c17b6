"""The direct interpreter of step programs as a backend: whole runs by plain broadcasting."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from netdsl.backends.base import Array, Executor
from netdsl.ir.program import Program
from netdsl.runtime.session import PER_SAMPLE
from tests.interpreter import Interpreter


class Judge(Executor):
    """Float64 whatever `dtype` says."""

    name = "judge"

    def __init__(
        self,
        program: Program,
        initial: Mapping[str, Array],
        *,
        rows: int,
        dtype: str = "float64",
        seed: int = 0,
    ) -> None:
        super().__init__(program, initial, rows=rows, dtype="float64", seed=seed)
        self.keys = np.zeros(rows, np.uint64)
        self.meaning = Interpreter(program, initial, rows, self.keys, seed)
        self.whole = dict(self.meaning.stored)
        self.set_rows(rows)

    def set_rows(self, rows: int, keys: npt.NDArray[np.uint64] | None = None) -> None:
        """See `Executor`: the interpreter sees the first rows only."""
        self.rows = self.meaning.rows = rows
        if keys is not None:
            self.keys[:rows] = keys
        self.meaning.keys = self.keys[:rows]
        for name in self.whole:
            self.meaning.stored[name] = self._present(name)

    def _present(self, buffer: str) -> Array:
        """A view of the rows that are present, or within `reaching` are to be reached."""
        held, whole = self.program.buffers[buffer], self.whole[buffer]
        if held.place not in PER_SAMPLE:
            return whole
        return whole[:, : self.rows] if held.slots > 1 else whole[: self.rows]

    def read(self, buffer: str) -> Array:
        """See `Executor`."""
        return np.array(self._unpacked(buffer, self._present(buffer)))

    def write(self, buffer: str, value: Array | float) -> None:
        """See `Executor`."""
        self._present(buffer)[...] = self._packed(buffer, value)

    def _form_all_products(self, whole: bool) -> None:
        """See `Executor`: it always does."""

    def call(self, routine: str, steps: int = 0, first: int = 0, last: int | None = None) -> None:
        """See `Executor`."""
        self.meaning.call(routine, steps, first, last)

    _call = call

    def nbytes(self) -> int:
        """See `Executor`."""
        return sum(array.nbytes for array in self.whole.values())
