"""The native executor: buffers in aligned memory, one C call per routine."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from netdsl.backends.base import Array, Executor
from netdsl.backends.bits import packed, unpacked
from netdsl.backends.chunks import Call, Chunk, Plan
from netdsl.backends.native import blas
from netdsl.backends.native.chunks import ChunkWords, chunk_entry
from netdsl.backends.native.library import load
from netdsl.backends.native.memory import Memory
from netdsl.codegen.c.program import generate
from netdsl.ir.network import Place
from netdsl.ir.places import packed_bytes, slot_shape
from netdsl.ir.program import Program

STRATEGIES = ("auto", "dense", "gather", "columns")
_MASK64 = 0xFFFFFFFFFFFFFFFF


@dataclass(frozen=True)
class OperationProfile:
    """What one operation did so far: seconds, bytes moved and arithmetic operations.

    `gathered` of the `calls` used index lists; `density` is the share of nonzeros last measured.
    Seconds, bytes and flops are 0 unless the executor was made with `profile=True`.
    """

    kind: str
    label: str
    calls: int
    seconds: float
    bytes: float
    flops: float
    gathered: int
    density: float


class NativeExecutor(Executor):
    """Runs a program as compiled C.

    `fast_math` lets the compiler reorder arithmetic (spike times may change); `profile` times every
    operation; `strategy` forces "dense" products, "gather" by index lists or learning by listed
    "columns" where "auto" chooses by measured density. `notices` are lines for the user. Raises
    BackendError E0801 to E0814.
    """

    name = "native"

    def __init__(
        self,
        program: Program,
        initial: Mapping[str, Array],
        *,
        rows: int,
        dtype: str = "float32",
        seed: int = 0,
        fast_math: bool = False,
        profile: bool = False,
        strategy: str = "auto",
    ) -> None:
        super().__init__(program, initial, rows=rows, dtype=dtype, seed=seed)
        self.unit = generate(program, dtype, profile=profile)
        loaded = load(self.unit.source, fast_math=fast_math)
        self.notices = loaded.notices
        self.cached = loaded.cached
        self._blas = blas.load()
        self._strategy = strategy
        self._entries = {}
        for routine, symbol in self.unit.routines.items():
            entry = getattr(loaded.library, symbol)
            entry.argtypes = (ctypes.c_void_p, *(ctypes.c_int64,) * 3)
            entry.restype = None
            self._entries[routine] = entry
        self._run_chunk = chunk_entry(loaded.library)
        self._make(initial)

    def _make(self, initial: Mapping[str, Array], beside: Memory | None = None) -> None:
        """Memory with the values at build; `beside` that of an executor with the same samples."""
        self.memory = Memory(
            self.unit.layout,
            self.capacity,
            len(self.unit.operations),
            self.connections,
            full_lists=self._strategy in ("gather", "columns"),
            beside=beside,
        )
        self._net = self.memory.net.ctypes.data
        for ring in self.unit.layout.rings:
            self.memory.aim(ring)
        self.memory.word("seed", self.seed & _MASK64)
        self._form_all_products(False)
        self.memory.word("gemm", self._blas.gemm(self.unit.layout.real))
        self.memory.word("gemm_int_bits", self._blas.int_bits)
        self.set_rows(self.rows)
        for name, value in initial.items():
            if name in self.program.buffers:
                self.write(name, value)

    def sibling(self, initial: Mapping[str, Array]) -> NativeExecutor:
        """See `Executor`."""
        other = copy(self)
        other._odd = set()
        other._make(initial, self.memory)
        return other

    def set_rows(self, rows: int, keys: npt.NDArray[np.uint64] | None = None) -> None:
        """Say how many samples are present; ValueError when there is no room for them."""
        if not 0 <= rows <= self.capacity:
            raise ValueError(f"{rows} rows do not fit into {self.capacity}")
        if rows != self.rows:
            self.memory.settle(self.rows)
            self._straighten()
        self.rows = rows
        self.memory.word("rows", rows)
        if keys is not None:
            self.memory.row_key[:rows] = keys

    @contextmanager
    def reaching(self, rows: int) -> Iterator[None]:
        """See `Executor`: rows that are not present stay behind where pointers are exchanged."""
        self.memory.settle(self.rows)
        with super().reaching(rows):
            yield

    def read(self, buffer: str) -> Array:
        """A copy of a buffer's present rows."""
        if self.program.buffers[buffer].slots > 1:
            slots, head = self._slots(buffer)
            if self.program.buffers[buffer].packed:
                slots = unpacked(slots, self.unit.layout.width(buffer), self.dtype)
            return np.roll(slots, -head, axis=0)
        if self._is_global(buffer):
            return np.array(self.memory.doubles[self.memory.scalar(buffer)])
        return self._unpacked(buffer, np.array(self._view(buffer)))

    def write(self, buffer: str, value: Array | float) -> None:
        """Overwrite a buffer's present rows."""
        if self.program.buffers[buffer].slots > 1:
            given, slots = self._packed(buffer, value), self._slots(buffer)[0]
            if self.program.buffers[buffer].packed:
                given = packed(np.broadcast_to(given, self._stored_shape(buffer, self.rows)))
            slots[...] = given
            self.memory.aim(buffer)
            return
        if self._is_global(buffer):
            self.memory.doubles[self.memory.scalar(buffer)] = value
            return
        self._view(buffer)[...] = self._packed(buffer, value)
        self._written(buffer, value)

    def write_all(self, members: Sequence[Executor], buffer: str, value: Array | float) -> None:
        """See `Executor`."""
        if not self._is_global(buffer):
            super().write_all(members, buffer, value)
            return
        place = self.memory.scalar(buffer)
        for member in members:
            member.memory.doubles[place] = value  # type: ignore[attr-defined]

    def _form_all_products(self, whole: bool) -> None:
        self.memory.word("strategy", STRATEGIES.index("dense" if whole else self._strategy))

    def _call(self, routine: str, steps: int, first: int, last: int) -> None:
        if not 0 <= first <= last <= steps:
            raise ValueError(f"steps {first} to {last} of {steps}")
        before = self._blas.one_thread()
        try:
            self._entries[routine](self._net, steps, first, last)
        finally:
            if before > 1:
                self._blas.threads(before)

    def call_all(
        self, members: Sequence[Executor], routine: str, steps: int, first: int, last: int | None
    ) -> None:
        """See `Executor`: the same entry of the library for each member's memory."""
        last = steps if last is None else last
        if self.program.routines[routine].parts:
            super().call_all(members, routine, steps, first, last)
            return
        if not 0 <= first <= last <= steps:
            raise ValueError(f"steps {first} to {last} of {steps}")
        entry, before = self._entries[routine], self._blas.one_thread()
        try:
            for member in members:
                entry(member._net, steps, first, last)  # type: ignore[attr-defined]
        finally:
            if before > 1:
                self._blas.threads(before)

    def run_chunk(self, plan: Plan, chunk: Chunk) -> dict[str, Array]:
        """Several batches in one call of C, unless a phase of theirs is run again in chunks."""
        called = {action.routine for action in plan.actions if isinstance(action, Call)}
        if any(self.program.routines[name].parts for name in called):
            return super().run_chunk(plan, chunk)
        made = ChunkWords(plan, chunk, self._entries, self.memory)
        shapes = {name: (len(chunk), *self._stored_shape(name, self.rows)) for name in plan.kept}
        kept = {name: made.keep(name, shape) for name, shape in shapes.items()}
        before = self._blas.one_thread()
        try:
            self._run_chunk(self._net, made.address(self.rows))
        finally:
            if before > 1:
                self._blas.threads(before)
        return kept

    def nbytes(self) -> int:
        """Bytes of buffers, lists and scratch."""
        return self.memory.nbytes()

    def source(self) -> str:
        """The generated C."""
        return self.unit.source

    def profile(self) -> list[OperationProfile]:
        """Counts of every operation since the executor was made, in order of first use."""
        return [
            OperationProfile(
                operation.kind,
                operation.label,
                int(stat["calls"]),
                float(stat["seconds"]),
                float(stat["bytes"]),
                float(stat["flops"]),
                int(stat["gathered"]),
                float(stat["density"]),
            )
            for operation, stat in zip(self.unit.operations, self.memory.stats, strict=True)
        ]

    def _is_global(self, buffer: str) -> bool:
        return self.program.buffers[buffer].place is Place.GLOBAL

    def _slots(self, buffer: str) -> tuple[Array, int]:
        """The present rows of a ring's slots, and which slot is the newest."""
        slots, head = self.memory.ring(buffer)
        shape = slot_shape(buffer, self.program, self.rows)
        if self.program.buffers[buffer].packed:
            shape = (*shape[:-1], packed_bytes(shape[-1]))
        count = int(np.prod(shape, dtype=np.int64))
        return slots[:, :count].reshape(len(slots), *shape), head

    def _view(self, buffer: str) -> Array:
        shape = self._stored_shape(buffer, self.rows)
        return self.memory[buffer][: math.prod(shape)].reshape(shape)
