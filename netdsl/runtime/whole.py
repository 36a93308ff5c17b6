"""What a session holds at once: its parameters, its states, all members of an ensemble."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netdsl.backends.base import Executor
from netdsl.ir.network import Kind, Network, Place
from netdsl.ir.places import of_rows
from netdsl.ir.program import Buffer, Program
from netdsl.ir.space import per_sample

Array = NDArray[Any]
Arrays = dict[str, Array]

BACKEND_COUNTERS = ("phase.step", "t")
_SHARED = (Place.NEURON, Place.SYNAPSE, Place.GLOBAL)
PER_SAMPLE = frozenset(filter(per_sample, Place))
# Roles whose values a run cannot recompute; the rest is scratch of one call.
_STATE = frozenset({"state", "input", "modulator", "snapshot", "accumulator", "hoisted"})
_LASTING = _STATE | {"parameter", "weight", "optimiser"}


class Whole(ABC):
    """What a session reads and writes as a whole. Of an ensemble arrays have a leading axis of
    members, unless the session means one of them."""

    network: Network
    program: Program
    executor: Executor
    host: dict[str, float]
    keys: NDArray[np.uint64]

    @abstractmethod
    def write(self, key: str, value: Any) -> None:
        """Overwrite a variable."""

    @abstractmethod
    def require_binary(self, name: str | None, value: Any, key: str = "") -> None:
        """Refuse numbers that are no truth values."""

    @property
    def focus(self) -> int | None:
        """The member of an ensemble that is meant; None: all, or there is no ensemble."""
        return self.executor.focus

    @property
    def members(self) -> int:
        """Networks of an ensemble that the session now means; 0 for one network by itself."""
        return self.executor.members if self.focus is None else 0

    @contextmanager
    def focused(self, member: int | None) -> Iterator[None]:
        """Mean one member of an ensemble, or all of them with None."""
        before, self.executor.focus = self.executor.focus, member
        try:
            yield
        finally:
            self.executor.focus = before

    def each_member(self) -> Iterator[int]:
        """Once for every network, with its number among them; in between the session means that one
        alone."""
        if not self.members:
            yield 0
        for number in range(self.members):
            with self.focused(number):
                yield number

    def parameters(self) -> Arrays:
        """Everything that samples share and learning may change, by path: weights, optimiser
        states, build-time parameters and global states."""
        found = {
            buffer.of: self.executor.read(name)
            for name, buffer in self.program.buffers.items()
            if self._is_parameter(buffer)
        }
        for path, variable in self.network.variables.items():
            if variable.kind is Kind.GLOBAL:
                found[path] = np.asarray(self.host[path])
        return found

    def _is_parameter(self, buffer: Buffer) -> bool:
        if buffer.tag or buffer.place not in _SHARED or buffer.of in self.host:
            return False
        return buffer.role in ("weight", "optimiser", "parameter", "state")

    def set_parameters(self, values: Mapping[str, Array]) -> None:
        """Write back what `parameters` gave."""
        for name, value in values.items():
            self.write(name, value)

    def lasting(self) -> Arrays:
        """All buffers that a resumed run needs, per-sample ones at all rows that there is room
        for: those beyond a smaller batch hold what the next full one reads."""
        with self.executor.reaching(self.executor.capacity):
            return {
                name: self.executor.read(name)
                for name, buffer in self.program.buffers.items()
                if buffer.role in _LASTING or buffer.of in BACKEND_COUNTERS
            }

    def per_sample(self) -> Arrays:
        """What `evaluate` must put back: per-sample buffers, at all rows as in `lasting`."""
        with self.executor.reaching(self.executor.capacity):
            return {name: self.executor.read(name) for name in self._rowwise()}

    def stored(self) -> Arrays:
        """What windows have stored."""
        buffers = self.program.buffers.items()
        return {n: self.executor.read(n) for n, b in buffers if b.memory and b.role == "state"}

    def of_rows(self, name: str, rows: slice) -> tuple[slice, ...]:
        """The index of some samples in what the executor reads of a buffer."""
        lead = (slice(None),) * self.executor.lead(name)
        return (*lead, *of_rows(self.program.buffers[name], rows))

    def _rowwise(self) -> list[str]:
        return [
            name
            for name, buffer in self.program.buffers.items()
            if buffer.place in PER_SAMPLE and buffer.role != "scratch"
        ]

    def restore(self, values: Mapping[str, Array], keys: NDArray[np.uint64]) -> None:
        """Write buffers back, and say how many rows are present, with their keys."""
        self.keys = keys
        self.executor.set_rows(len(keys), keys)
        for name, value in values.items():
            self.require_binary(name, value)
            if self.program.buffers[name].place in PER_SAMPLE:
                # Rows for which there is no room here are never read either.
                index = self.of_rows(name, slice(self.executor.capacity))
                held = value[index]
                with self.executor.reaching(held.shape[len(index) - 1]):
                    self.executor.write(name, held)
            else:
                self.executor.write(name, value)
