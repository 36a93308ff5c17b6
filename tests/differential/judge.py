"""The direct interpreter of step programs as a backend: whole runs by plain broadcasting."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from netdsl.backends.base import Array, Executor
from netdsl.ir.network import Place
from netdsl.ir.places import of_rows
from netdsl.ir.program import Program
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
        for name, array in self.whole.items():
            buffer = self.program.buffers[name]
            per_sample = buffer.place in (Place.ROW, Place.UNIT)
            present = of_rows(buffer, slice(rows))
            self.meaning.stored[name] = array[present] if per_sample else array

    def read(self, buffer: str) -> Array:
        """See `Executor`."""
        return np.array(self._unpacked(buffer, self.meaning.stored[buffer]))

    def write(self, buffer: str, value: Array | float) -> None:
        """See `Executor`."""
        self.meaning.stored[buffer][...] = self._packed(buffer, value)

    def _form_all_products(self, whole: bool) -> None:
        """See `Executor`: it always does."""

    def call(self, routine: str, steps: int = 0, first: int = 0, last: int | None = None) -> None:
        """See `Executor`."""
        self.meaning.call(routine, steps, first, last)

    def nbytes(self) -> int:
        """See `Executor`."""
        return sum(array.nbytes for array in self.whole.values())
