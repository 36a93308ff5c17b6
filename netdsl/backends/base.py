"""What every backend offers: allocate a program's buffers and call its routines."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt

from netdsl.backends.again import calls
from netdsl.backends.chunks import Chunk, Plan, one_by_one
from netdsl.ir.network import Place
from netdsl.ir.places import edges_of, shape_of, stored_shape
from netdsl.ir.program import Program
from netdsl.ir.roles import written_by
from netdsl.streams.connectivity import Connections, connections_of

Array = npt.NDArray[np.generic]
_FINITE = ("state", "input", "parameter", "weight", "optimiser")  # roles of variables


def given_by_host(program: Program) -> frozenset[str]:
    """Buffers of samples that the host alone writes: alike for all members of an ensemble."""
    routines = program.routines.values()
    written = {name for r in routines for op in r.ops for name in written_by(op)}
    return frozenset(
        name
        for name, buffer in program.buffers.items()
        if buffer.role == "sample"
        and not buffer.tag
        and buffer.slots == 1
        and buffer.place in (Place.ROW, Place.UNIT)
        and name not in written
    )


class Executor(ABC):
    """A program made runnable: buffers allocated once, one call per routine.

    `program`: the step program. `initial`: build-time values by buffer name (float64 arrays as
    `write` takes them), computed on the host so that they are equal on every backend. `rows`: the
    largest number of samples that will be present. `dtype`: "float32" or "float64". `seed`: of the
    counter-based random streams.
    """

    name = ""
    members = 0  # of an ensemble; 0 for a network by itself
    focus: int | None = None  # the member that is meant, of an ensemble

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
        self.connections = connections_of(program, seed)
        self.edges = {name: found.count for name, found in self.connections.items()}
        self._odd: set[str] = set()
        self._shapes: dict[tuple[str, int], tuple[int, ...]] = {}
        self._listed: dict[str, Connections | None] = {}

    def _connections(self, buffer: str) -> Connections | None:
        """The synapses that a buffer holds a number for, if it holds only existing ones."""
        if buffer not in self._listed:
            entry = self.program.buffers.get(buffer)
            listed = entry is not None and edges_of(buffer, self.program) is not None
            self._listed[buffer] = self.connections.get(entry.owner) if listed and entry else None
        return self._listed[buffer]

    def _stored_shape(self, buffer: str, rows: int) -> tuple[int, ...]:
        shape = self._shapes.get((buffer, rows))
        if shape is None:
            shape = stored_shape(buffer, self.program, rows, self.edges)
            self._shapes[buffer, rows] = shape
        return shape

    def _unpacked(self, buffer: str, stored: Array) -> Array:
        """What the host sees of stored values: a matrix of synapses, 0 where there is none."""
        edges = self._connections(buffer)
        return stored if edges is None else edges.matrix(stored)

    def _packed(self, buffer: str, value: Array | float) -> Array:
        """What is to be stored of a value that the host gives. ValueError where it does not fit."""
        given = np.asarray(value)
        edges = self._connections(buffer)
        if edges is not None and given.shape == shape_of(buffer, self.program, self.rows):
            given = edges.values(given)
        stored = self._stored_shape(buffer, self.rows)
        if given.shape not in ((), stored):
            shape = shape_of(buffer, self.program, self.rows)
            raise ValueError(f"`{buffer}` has shape {shape}, not {given.shape}")
        return given

    def _written(self, buffer: str, value: Array | float) -> None:
        """Every `write` says so here: 0 times NaN is NaN, which products by lists of ones skip, so
        they are left alone while the host has put NaN or infinity into a variable."""
        entry = self.program.buffers.get(buffer)
        if entry is None or entry.place is Place.GLOBAL or entry.role not in _FINITE:
            return
        odd = bool(self._odd)
        (self._odd.discard if np.isfinite(value).all() else self._odd.add)(buffer)
        if odd != bool(self._odd):
            self._form_all_products(not odd)

    def sibling(self, initial: Mapping[str, Array]) -> Executor:
        """Another executor of the same compiled program, with values of its own. It shares the
        random keys and the samples that the host gives, which are written here."""
        raise NotImplementedError

    def given(self, buffer: str) -> None:
        """The host has given new samples, by way of the executor whose sibling this is."""

    def lead(self, buffer: str) -> int:
        """How many axes of members `read` and `write` have in front."""
        return 0

    @abstractmethod
    def _form_all_products(self, whole: bool) -> None:
        """Whether products with 0 must be formed too, not left out by an index list."""

    @abstractmethod
    def set_rows(self, rows: int, keys: npt.NDArray[np.uint64] | None = None) -> None:
        """Say how many samples are present (at most the capacity) and their random keys (rows,)."""

    @abstractmethod
    def read(self, buffer: str) -> Array:
        """A copy of a buffer's present rows: (), (rows,), (n,), (rows, n) or (m, n); a ring's slots
        come before that, what was pushed last first."""

    @abstractmethod
    def write(self, buffer: str, value: Array | float) -> None:
        """Overwrite a buffer's present rows; shapes as in `read`, scalars broadcast.

        Where only existing synapses are stored, (edges,) will do, and the others are not read.
        """

    @contextmanager
    def reaching(self, rows: int) -> Iterator[None]:
        """Within it `read` and `write` reach `rows` samples (at most the capacity), however many
        are present: what a larger batch left in the others is part of a run's state."""
        self._straighten()
        present, self.rows = self.rows, rows
        try:
            yield
        finally:
            self.rows = present

    def _straighten(self) -> None:
        """Let slot 0 of every ring hold the newest value, before other rows are present: those that
        no batch has keep what they held, and stay in this order."""
        for name, buffer in self.program.buffers.items():
            if buffer.slots > 1:
                self.write(name, self.read(name))

    def call(self, routine: str, steps: int = 0, first: int = 0, last: int | None = None) -> None:
        """Run a routine. For a phase of `steps` steps, run steps `first` to `last` - 1 of it:
        `once` when `first` is 0, `after` when `last` is `steps` (the default).

        The GLOBAL buffer `phase.step` is first, first+1, ...; `t` goes on counting from its
        present value (the host resets it by writing the buffer).
        """
        for name, part in calls(self, routine, steps, first, steps if last is None else last):
            self._call(name, *part)

    @abstractmethod
    def _call(self, routine: str, steps: int, first: int, last: int) -> None:
        """Run a routine by itself."""

    def run_chunk(self, plan: Plan, chunk: Chunk) -> dict[str, Array]:
        """Run several batches of as many samples as are present now; see `Plan`. The values that it
        keeps, (batches, …) of what `read` gives."""
        return one_by_one(self, plan, chunk)

    def call_all(
        self, members: Sequence[Executor], routine: str, steps: int, first: int, last: int | None
    ) -> None:
        """Call a routine of several siblings, one after the other."""
        for member in members:
            member.call(routine, steps, first, last)

    def write_all(self, members: Sequence[Executor], buffer: str, value: Array | float) -> None:
        """Write the same value into a buffer of several siblings."""
        for member in members:
            member.write(buffer, value)

    @abstractmethod
    def nbytes(self) -> int:
        """Bytes allocated for buffers."""

    def choices(self) -> dict[str, list[int]]:
        """What was decided from data seen so far and rounds sums one way or another, for JSON: with
        it a run that is taken up again goes on bit by bit as it would have."""
        return {}

    def choose(self, choices: Mapping[str, list[int]]) -> None:
        """Put `choices` of an executor of the same program back; others are ignored."""

    def source(self) -> str:
        """The generated code, for `show kernel` and `compile`."""
        return ""

    def close(self) -> None:
        """Release what the backend holds."""
