"""What every backend offers: allocate a program's buffers and call its routines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from netdsl.ir.program import Program

Array = npt.NDArray[np.generic]


class BackendError(Exception):
    """A backend cannot serve this program here; `help` says what the user can do instead."""

    def __init__(self, code: str, message: str, help: str | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.help = code, message, help


class Executor(ABC):
    """A program made runnable: buffers allocated once, one call per routine.

    `program`: the step program. `initial`: build-time values by buffer name (float64 arrays of the
    buffer's shape), computed on the host so that they are equal on every backend. `rows`: the
    largest number of samples that will be present. `dtype`: "float32" or "float64". `seed`: of the
    counter-based random streams.
    """

    name = ""

    def __init__(
        self,
        program: Program,
        initial: Mapping[str, Array],
        *,
        rows: int,
        dtype: str = "float32",
        seed: int = 0,
    ) -> None:
        self.program = program
        self.capacity = rows
        self.rows = rows
        self.dtype = np.dtype(dtype)
        self.seed = seed

    @abstractmethod
    def set_rows(self, rows: int, keys: npt.NDArray[np.uint64] | None = None) -> None:
        """Say how many samples are present (at most the capacity) and their random keys (rows,)."""

    @abstractmethod
    def read(self, buffer: str) -> Array:
        """A copy of a buffer's present rows: (), (rows,), (n,), (rows, n) or (m, n)."""

    @abstractmethod
    def write(self, buffer: str, value: Array | float) -> None:
        """Overwrite a buffer's present rows; shapes as in `read`, scalars broadcast."""

    @abstractmethod
    def call(self, routine: str, steps: int = 0, first: int = 0, last: int | None = None) -> None:
        """Run a routine. For a phase of `steps` steps, run steps `first` to `last` - 1 of it:
        `once` when `first` is 0, `after` when `last` is `steps` (the default).

        The GLOBAL buffer `phase.step` is first, first+1, ...; `t` goes on counting from its
        present value (the host resets it by writing the buffer).
        """

    @abstractmethod
    def nbytes(self) -> int:
        """Bytes allocated for buffers."""

    def source(self) -> str:
        """The generated code, for `show kernel` and `compile`."""
        return ""

    def close(self) -> None:
        """Release what the backend holds."""
