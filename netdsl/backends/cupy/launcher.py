"""What runs a CUDA program's actions, on whatever device: a GPU, or the CPU in its place.

The device has one block of memory with `struct net` at its head. A call of a routine is at most
three sections: what comes before the steps, one step (replayed), what comes after. Between calls
the share of nonzeros measured at the end of the last one decides which windows are gathered.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from itertools import groupby
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from netdsl.backends.base import Array, Executor, given_by_host
from netdsl.backends.cupy.memory import MemoryPlan, plan_memory, require
from netdsl.backends.cupy.rings import DeviceRings
from netdsl.codegen.comments import spec_line
from netdsl.codegen.cuda.layout import COUNT_BLOCKS, EDGE_PARTS
from netdsl.codegen.cuda.plan import Action, Gemm, Kernel, Launch, RoutineActions
from netdsl.codegen.cuda.program import CudaUnit, generate
from netdsl.codegen.errors import BackendError
from netdsl.codegen.plan.layout import Window
from netdsl.ir.network import Place
from netdsl.ir.program import Program

# A choice for a sparse form is given up only this far above its limit, so as not to flicker.
HYSTERESIS = 1.3

Sections = Sequence[Action]


class DeviceFault(Exception):
    """The device stopped: what it says, and the index of the last kernel that began (or None)."""

    def __init__(self, text: str, kernel: int | None) -> None:
        super().__init__(text)
        self.text, self.kernel = text, kernel


class OutOfMemory(Exception):
    """The device or a library of it had no memory left; it can still be used."""


class Device(Protocol):
    """Memory, launches and matrix products. Every method may raise DeviceFault."""

    name: str

    def free_bytes(self) -> int:
        """Memory that can be allocated now."""

    def allocate(self, nbytes: int) -> int:
        """Address of zeroed memory. Raises BackendError E0852."""

    def progress(self) -> int:
        """Address of the word in which kernels say that they begin."""

    def load(self, source: str, kernels: Sequence[Kernel]) -> None:
        """Compile a source. Raises BackendError E0854."""

    def upload(self, address: int, data: npt.NDArray[Any]) -> None:
        """Copy an array to the device."""

    def download(self, address: int, out: npt.NDArray[Any]) -> None:
        """Wait for all work and copy to an array."""

    def launch(self, launch: Launch, blocks: tuple[int, int], net: int) -> None:
        """Start a kernel."""

    def multiply(
        self, gemm: Gemm, rows: int, dtype: np.dtype[Any], pointers: Mapping[str, int]
    ) -> None:
        """Start a matrix product; `pointers` of "weight", "source", "target", "alpha", "beta"."""

    def branch(self, number: int) -> None:
        """What follows may run beside what the other branches do; 0: it waits for all of them."""

    def section(self, key: object, run: Any, count: int) -> None:
        """Do what `run()` launches `count` times; equal keys launch the same."""

    def close(self) -> None:
        """Release everything."""


class GpuExecutor(Executor):
    """An executor over a `Device`; see `Executor`.

    `strategy`: "auto", or "gather" or "dense" wherever there is a choice. Raises BackendError E0850
    (no translation) and E0851 to E0854 (memory, faults and the device's compiler).
    """

    def __init__(
        self,
        program: Program,
        initial: Mapping[str, Array],
        device: Device,
        *,
        rows: int,
        dtype: str,
        seed: int,
        strategy: str = "auto",
    ) -> None:
        super().__init__(program, initial, rows=rows, dtype=dtype, seed=seed)
        self.device = device
        self.strategy = self._asked = strategy
        self.unit: CudaUnit = generate(program, dtype, self.edges)
        self.layout = self.unit.layout
        self.plan: MemoryPlan = plan_memory(self.layout, rows)
        tests = (test for routine in self.unit.routines.values() for test in routine.tests)
        self.sparse = dict.fromkeys(tests, strategy != "dense")
        # Rows that windows were counted over, and the count, or None while the device has it.
        self._measured: dict[Window, tuple[int, int | None]] = {}
        self._fault: BackendError | None = None
        self._shared: dict[str, int] = {}  # addresses of fields that belong to another, by field
        try:
            require(self.plan, rows, device.free_bytes(), device.name)
            device.load(self.unit.source, self.unit.kernels)
            self._base = device.allocate(self.plan.nbytes)
            self._fill(initial)
        except DeviceFault as fault:
            raise self._report(fault) from None

    def sibling(self, initial: Mapping[str, Array]) -> GpuExecutor:
        """See `Executor`: on the same device, which has the kernels already."""
        other, names = copy(self), given_by_host(self.program)
        fields = ["row_key", *(self.layout.names(name) for name in names)]
        other._shared = {field: self._address(field) for field in fields}
        other._odd, other._measured, other.sparse = set(), {}, dict(self.sparse)
        try:
            require(self.plan, self.capacity, self.device.free_bytes(), self.device.name)
            other._base = self.device.allocate(self.plan.nbytes)
            other._fill(initial)
        except DeviceFault as fault:
            raise self._report(fault) from None
        return other

    def _fill(self, initial: Mapping[str, Array]) -> None:
        words = np.zeros(self.plan.struct_bytes // 8, np.uint64)
        for name, offset in self.plan.offsets.items():
            words[self.plan.words[name]] = self._shared.get(name, self._base + offset)
        words[self.plan.words["rows"]] = self.rows
        words[self.plan.words["seed"]] = self.seed & 0xFFFFFFFFFFFFFFFF
        words[self.plan.words["progress"]] = self.device.progress()
        self.device.upload(self._base, words)
        scales = [0.0 if value is None else value for value in self.layout.scales]
        self.device.upload(self._address("scales"), np.asarray(scales, self.dtype))
        for projection, ident in self.layout.edges.items():
            for part in EDGE_PARTS:
                values = np.ascontiguousarray(getattr(self.connections[projection], part))
                if values.size:
                    self.device.upload(self._address(f"{ident}.{part}"), values)
        moves = (self.device.download, self.device.upload)
        self._rings = DeviceRings(self.layout, self.plan, self._base, self.capacity, moves)
        for name, value in initial.items():
            self.write(name, value)

    @property
    def address(self) -> int:
        """Where `struct net` lies on the device."""
        return self._base

    def _address(self, field: str) -> int:
        return self._shared.get(field, self._base + self.plan.offsets[field])

    def _place(self, buffer: str) -> int:
        """Address of a buffer's numbers."""
        name = self.layout.names(buffer)
        if self.program.buffers[buffer].place is Place.GLOBAL:
            return self._base + 8 * self.plan.words[name]
        return self._address(name)

    def _type(self, buffer: str) -> np.dtype[Any]:
        entry = self.program.buffers[buffer]
        double = entry.double or entry.place is Place.GLOBAL
        return np.dtype(np.float64) if double else self.dtype

    def set_rows(self, rows: int, keys: npt.NDArray[np.uint64] | None = None) -> None:
        """See `Executor`; ValueError when `rows` exceeds the capacity or `keys` do not fit."""
        if not 0 <= rows <= self.capacity:
            raise ValueError(f"{rows} rows exceed the capacity of {self.capacity}")
        if keys is not None and len(keys) != rows:
            raise ValueError(f"{len(keys)} keys for {rows} rows")
        if rows != self.rows:
            self._straighten()
            self.rows = rows
            self._measured.clear()
            address = self._base + 8 * self.plan.words["rows"]
            self._guard(self.device.upload, address, np.array([rows], np.uint64))
        if keys is not None:
            values = np.ascontiguousarray(keys, np.uint64)
            self._guard(self.device.upload, self._address("row_key"), values)

    def read(self, buffer: str) -> Array:
        """See `Executor`."""
        if buffer in self.layout.rings:
            return np.asarray(self._guard(self._rings.read, buffer, self.rows))
        out = np.empty(self._stored_shape(buffer, self.rows), self._type(buffer))
        if out.size:
            self._guard(self.device.download, self._place(buffer), out)
        return self._unpacked(buffer, out)

    def write(self, buffer: str, value: Array | float) -> None:
        """See `Executor`; ValueError when the shape does not fit."""
        given, shape = self._packed(buffer, value), self._stored_shape(buffer, self.rows)
        full = np.ascontiguousarray(np.broadcast_to(given, shape), self._type(buffer))
        if buffer in self.layout.rings:
            self._guard(self._rings.write, buffer, full)
        elif full.size:
            self._guard(self.device.upload, self._place(buffer), full)
        self._written(buffer, value)

    def _form_all_products(self, whole: bool) -> None:
        self.strategy = "dense" if whole else self._asked
        self.sparse = dict.fromkeys(self.sparse, self.strategy != "dense")

    def _call(self, routine: str, steps: int, first: int, last: int) -> None:
        actions, unit = self.unit.routines[routine], self.unit
        steps_back = self.program.routines[routine].steps
        start, advance = unit.start, unit.advance
        if steps_back and unit.back is not None:
            first, last, steps = 0, steps_back, steps_back
            start, advance = unit.back
        starts, ends, moves = first == 0, last == steps, first < last
        try:
            self._check()
            self._choose(actions)
            if moves and not steps_back:
                self.write(self.program.counter("phase.step"), float(first))
            before = [*(actions.once if starts else ())]
            before += [start, *actions.before_steps] if moves else []
            self._section((routine, "before", starts, moves), before, actions)
            self._section((routine, "step"), [advance, *actions.step], actions, last - first)
            after = [unit.finish] if moves and not steps_back else []
            after += [*(actions.after if ends else ())]
            after += actions.count if moves and self.strategy == "auto" else ()
            self._section((routine, "after", ends, moves), after, actions)
            if moves:
                self._measured.update(dict.fromkeys(actions.windows, (self.rows, None)))
        except DeviceFault as fault:
            raise self._report(fault) from None

    def _section(
        self, key: tuple[object, ...], actions: Sections, routine: RoutineActions, count: int = 1
    ) -> None:
        chosen = tuple(self.sparse[test] for test in routine.tests)
        wanted = [action for action in actions if action.wanted(self.sparse)]
        if wanted and count > 0 and self.rows > 0:
            self.device.section(
                (self._base, *key, self.rows, chosen), lambda: self._launch(wanted), count
            )

    def _launch(self, wanted: Sequence[Action]) -> None:
        for beside, group in groupby(wanted, key=lambda action: action.beside):
            actions = [action.do for action in group]
            branches = beside is not None and len(actions) > 1
            for number, do in enumerate(actions, 1):
                if branches:
                    self.device.branch(number)
                self._start(do)
            if branches:
                self.device.branch(0)

    def _start(self, do: Launch | Gemm) -> None:
        if isinstance(do, Launch):
            blocks = (do.x.blocks(self.rows), do.y.blocks(self.rows))
            self.device.launch(do, blocks, self._base)
        elif do.m and do.n:
            self.device.multiply(do, self.rows, self.dtype, self._pointers(do))

    def _pointers(self, gemm: Gemm) -> dict[str, int]:
        size = self.dtype.itemsize
        scales = self._address("scales")
        return {
            "weight": self._address(gemm.weight),
            "source": self._address(gemm.source) + size * gemm.source_offset,
            "target": self._address(gemm.target) + size * gemm.target_offset,
            "alpha": scales + size * gemm.alpha,
            "beta": scales + size * gemm.beta,
        }

    def _choose(self, actions: RoutineActions) -> None:
        """Decide from what was measured which forms a routine takes."""
        known = [window for window in actions.windows if window in self._measured]
        if self.strategy != "auto" or not known:
            return
        self._count(known)
        share = {}
        for window in known:
            rows, count = self._measured.pop(window)
            share[window] = (count or 0) / max(rows * window.width, 1)
        for test in actions.tests:
            slack = HYSTERESIS if self.sparse[test] else 1.0
            below = [share[w] < slack * limit for w, limit in test.limits if w in share]
            self.sparse[test] = all(below) if below else self.sparse[test]

    def _count(self, windows: Iterable[Window]) -> None:
        """Fetch the counts of windows that only the device has so far."""
        missing = [window for window in windows if self._measured[window][1] is None]
        if not missing:
            return
        counts = np.empty(COUNT_BLOCKS * len(self.layout.counted), np.int64)
        self.device.download(self._address("nonzeros"), counts)
        for window in missing:
            slot = self.layout.count_slot(window)
            count = int(counts[slot : slot + COUNT_BLOCKS].sum())
            self._measured[window] = (self._measured[window][0], count)

    def choices(self) -> dict[str, list[int]]:
        """See `Executor`: the forms taken, and what the next choice is made from."""
        self._guard(self._count, tuple(self._measured))
        counted = self.layout.counted
        measured = [
            number
            for window, (rows, count) in self._measured.items()
            for number in (counted.index(window), rows, count or 0)
        ]
        return {"sparse": [int(held) for held in self.sparse.values()], "measured": measured}

    def choose(self, choices: Mapping[str, list[int]]) -> None:
        """See `Executor`."""
        sparse, measured = choices.get("sparse", []), choices.get("measured", [])
        if self.strategy != "auto" or len(sparse) != len(self.sparse):
            return
        self.sparse = dict(zip(self.sparse, map(bool, sparse), strict=True))
        counted = self.layout.counted
        self._measured = {
            counted[window]: (rows, count)
            for window, rows, count in zip(
                measured[::3], measured[1::3], measured[2::3], strict=True
            )
            if window < len(counted)
        }

    def _guard(self, method: Any, *args: Any) -> Any:
        try:
            self._check()
            return method(*args)
        except DeviceFault as fault:
            raise self._report(fault) from None

    def _check(self) -> None:
        if self._fault is not None:
            raise self._fault

    def _report(self, fault: DeviceFault) -> BackendError:
        """The error of a device that stopped; this executor serves no more."""
        where = ""
        if fault.kernel is not None and 0 <= fault.kernel < len(self.unit.kernels):
            kernel = self.unit.kernels[fault.kernel]
            line = spec_line(kernel.span, self.program.sources)
            where = f" in or after kernel `{kernel.name}`" + (f" ({line})" if line else "")
        self._fault = BackendError(
            "E0853",
            f"the GPU stopped{where}: {fault.text}",
            "start again to use the GPU (`netdsl run --resume` goes on from the last checkpoint);"
            " other programs can use it at once; run with --backend numpy to compare, and report"
            " this",
        )
        return self._fault

    def nbytes(self) -> int:
        """See `Executor`."""
        return self.plan.nbytes

    def source(self) -> str:
        """The generated CUDA source."""
        return self.unit.source

    def close(self) -> None:
        """Release the device's memory and graphs; a sibling leaves that to the first."""
        if not self._shared:
            self.device.close()
