"""Members of an ensemble: executors of one program, side by side over the same samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np
import numpy.typing as npt

from netdsl.backends.base import Array, Executor, given_by_host
from netdsl.backends.chunks import Chunk, Plan
from netdsl.ir.places import shape_of


class EnsembleExecutor(Executor):
    """All members as one executor.

    With a `focus` it is that member alone: what is called, read and written is the member's. With
    none (None) every member is called, `read` has a leading axis of members, and `write` takes one
    value for all of them or one with that axis. What the host gives of samples is stored once and
    has no such axis.
    """

    def __init__(self, members: Sequence[Executor]) -> None:
        first = members[0]
        self.each = tuple(members)
        self.members = len(members)
        self.name, self.program, self.dtype, self.seed = (
            first.name, first.program, first.dtype, first.seed,
        )  # fmt: skip
        self.capacity, self.rows = first.capacity, first.rows
        self.connections, self.edges = first.connections, first.edges
        self._given = given_by_host(first.program)

    def lead(self, buffer: str) -> int:
        """See `Executor`."""
        return int(self.focus is None and buffer not in self._given)

    def set_rows(self, rows: int, keys: npt.NDArray[np.uint64] | None = None) -> None:
        """See `Executor`; the keys are stored once."""
        changed = rows != self.rows
        self.each[0].set_rows(rows, keys)
        if changed:
            for member in self.each[1:]:
                member.set_rows(rows)
            self.rows = rows

    def read(self, buffer: str) -> Array:
        """See `Executor`."""
        if buffer in self._given:
            return self.each[0].read(buffer)
        if self.focus is not None:
            return self.each[self.focus].read(buffer)
        return np.stack([member.read(buffer) for member in self.each])

    def write(self, buffer: str, value: Array | float) -> None:
        """See `Executor`."""
        if buffer in self._given:
            self.each[0].write(buffer, value)
            for member in self.each[1:]:
                member.given(buffer)
        elif self.focus is not None:
            self.each[self.focus].write(buffer, value)
        else:
            alone = len(shape_of(buffer, self.program, self.rows))
            stacked = np.ndim(value) == alone + 1
            if stacked and len(np.asarray(value)) != self.members:
                raise ValueError(
                    f"`{buffer}` of {len(np.asarray(value))} members, not {self.members}"
                )
            if not stacked:
                self.each[0].write_all(self.each, buffer, value)
                return
            for number, member in enumerate(self.each):
                member.write(buffer, np.asarray(value)[number])

    def _form_all_products(self, whole: bool) -> None:
        """Members decide for themselves."""

    @contextmanager
    def reaching(self, rows: int) -> Iterator[None]:
        """See `Executor`."""
        present = self.rows
        with ExitStack() as held:
            for member in self.each:
                held.enter_context(member.reaching(rows))
            self.rows = rows
            try:
                yield
            finally:
                self.rows = present

    def call(self, routine: str, steps: int = 0, first: int = 0, last: int | None = None) -> None:
        """See `Executor`."""
        chosen = self.each if self.focus is None else self.each[self.focus : self.focus + 1]
        chosen[0].call_all(chosen, routine, steps, first, last)

    def run_chunk(self, plan: Plan, chunk: Chunk) -> dict[str, Array]:
        """See `Executor`: of a backend that has a call of its own for it, member after member. What
        is kept of all of them has their axis in front."""
        if self.focus is not None:
            return self.each[self.focus].run_chunk(plan, chunk)
        if type(self.each[0]).run_chunk is Executor.run_chunk:
            kept = super().run_chunk(plan, chunk)
            return {name: np.moveaxis(values, 1, 0) for name, values in kept.items()}
        found = [member.run_chunk(plan, chunk) for member in self.each]
        return {name: np.stack([kept[name] for kept in found]) for name in plan.kept}

    def _call(self, routine: str, steps: int, first: int, last: int) -> None:
        self.call(routine, steps, first, last)

    def nbytes(self) -> int:
        """See `Executor`; what members share is counted once."""
        shared = sum(self.each[0].read(buffer).nbytes for buffer in self._given)
        return sum(member.nbytes() for member in self.each) - shared * (self.members - 1)

    def choices(self) -> dict[str, list[int]]:
        """See `Executor`."""
        return {
            f"{number}.{what}": held
            for number, member in enumerate(self.each)
            for what, held in member.choices().items()
        }

    def choose(self, choices: Mapping[str, list[int]]) -> None:
        """See `Executor`."""
        for number, member in enumerate(self.each):
            own = f"{number}."
            found = {k[len(own) :]: held for k, held in choices.items() if k.startswith(own)}
            member.choose(found)

    def source(self) -> str:
        """See `Executor`."""
        return self.each[0].source()

    def close(self) -> None:
        """See `Executor`."""
        for member in reversed(self.each):
            member.close()
