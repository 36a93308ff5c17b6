"""The NumPy backend: generated Python over in-place array operations."""

from __future__ import annotations

import linecache
from collections.abc import Mapping
from copy import copy
from itertools import count
from typing import Any

import numpy as np
import numpy.typing as npt

from netdsl.backends.base import Array, Executor, given_by_host
from netdsl.backends.numpy.active import Active
from netdsl.backends.numpy.edges import EdgeArrays
from netdsl.backends.numpy.ring import PackedRing, Ring
from netdsl.backends.numpy.support import Scratch
from netdsl.backends.numpy.windows import WindowProducts
from netdsl.codegen.numpy.module import ModuleWriter
from netdsl.ir.network import Place
from netdsl.ir.places import packed_bytes
from netdsl.ir.program import Buffer, Program
from netdsl.ir.space import per_sample
from netdsl.streams.draws import PhiloxStream

_serial = count()


class NumpyExecutor(Executor):
    """Runs a program's generated module; see `Executor`.

    Buffers are allocated once for `rows` samples; smaller batches use their first rows.
    """

    name = "numpy"

    def __init__(
        self,
        program: Program,
        initial: Mapping[str, Array],
        *,
        rows: int,
        dtype: str = "float32",
        seed: int = 0,
    ) -> None:
        super().__init__(program, initial, rows=rows, dtype=dtype, seed=seed)
        self.module = ModuleWriter(program).module()
        self._given = given_by_host(program) & set(self.module.identifiers)
        self._scratch = Scratch(self.dtype)
        self._keys = np.zeros(rows, np.uint64)
        self._edges = {
            name: EdgeArrays(self.connections[name], self.dtype) for name in self.module.edges
        }
        self._make(initial, {})

    def _make(self, initial: Mapping[str, Array], shared: Mapping[str, Any]) -> None:
        """Everything that belongs to this executor alone; buffers but those `shared`."""
        program = self.program
        self._buffers = {
            name: shared[name] if name in shared else self._allocate(name)
            for name in self.module.identifiers
        }
        self._rings = {
            name: self._ring(program.buffers[name], array)
            for name, array in self._buffers.items()
            if name in program.buffers and program.buffers[name].slots > 1
        }
        self._active = {buffer: Active() for buffer in self.module.active}
        self._space = self._load()
        # Twice: work arrays grow while tiles are made, and all views must be of their final ones.
        self._bind()
        self._bind()
        for name, value in initial.items():
            self.write(name, value)

    def sibling(self, initial: Mapping[str, Array]) -> NumpyExecutor:
        """See `Executor`."""
        other = copy(self)
        other._odd = set()
        other._make(initial, {name: self._buffers[name] for name in self._given})
        return other

    def given(self, buffer: str) -> None:
        """See `Executor`."""
        if buffer in self._active:
            self._active[buffer].changed()

    def _ring(self, held: Buffer, array: npt.NDArray[Any]) -> Ring:
        if held.packed:
            return PackedRing(array, self.program.sizes[held.owner], self.dtype)
        return Ring(array, per_row=per_sample(held.place))

    def _allocate(self, name: str) -> npt.NDArray[Any]:
        if name not in self.program.buffers:  # a counter that the program does not read
            return np.zeros(())
        place, double = self.program.buffers[name].place, self.program.buffers[name].double
        shape = self._stored_shape(name, self.capacity)
        if self.program.buffers[name].packed:
            return np.zeros((*shape[:-1], packed_bytes(shape[-1])), np.uint8)
        dtype = np.dtype(np.float64) if double or place is Place.GLOBAL else self.dtype
        return np.zeros((*shape, 1) if place is Place.ROW else shape, dtype)

    def _load(self) -> dict[str, Any]:
        """Execute the module's text, with its lines known to tracebacks."""
        file = f"<netdsl {self.program.name} {next(_serial)}>"
        text = self.module.text
        linecache.cache[file] = (len(text), None, text.splitlines(keepends=True), file)
        self._file = file
        space: dict[str, Any] = {"__name__": "netdsl_generated", "scratch": self._scratch}
        for path, name in self.module.streams.items():
            space[name] = PhiloxStream(self.seed, path)
        for size, name in self.module.indices.items():
            space[name] = np.arange(size, dtype=self.dtype)
        for buffer, name in self.module.active.items():
            space[name] = self._active[buffer]
        for projection, name in self.module.edges.items():
            space[name] = self._edges[projection]
        for windows, name in self.module.windows.items():
            space[name] = WindowProducts(windows, self._scratch)
        exec(compile(text, file, "exec"), space)
        return space

    def _present(self, name: str) -> npt.NDArray[Any]:
        """The rows present of a buffer, as the module sees them."""
        array = self._buffers[name]
        entry = self.program.buffers.get(name)
        if entry is None or not per_sample(entry.place):
            return array
        present = array[: self.rows]
        return present[:, : self.rows] if entry.place is Place.PAIR else present

    def _bind(self) -> None:
        for ring in self._rings.values():
            ring.bind(self.rows)
        for name, identifier in self.module.identifiers.items():
            self._space[identifier] = self._rings.get(name, self._present(name))
        for name, active in self._active.items():
            active.bind(self._shown(name) if name in self.module.views else self._present(name))
        self._space["rows"] = self.rows
        self._space["row_keys"] = self._keys[: self.rows]
        self._space["bind"](self.rows)

    def _shown(self, view: str) -> npt.NDArray[Any]:
        """The slot that a view shows; one that moves is looked up again before it is read."""
        seen = self.module.views[view]
        return self._rings[seen.ring].ago(seen.ago if isinstance(seen.ago, int) else 0)

    def set_rows(self, rows: int, keys: npt.NDArray[np.uint64] | None = None) -> None:
        """See `Executor`; ValueError when `rows` exceeds the capacity or `keys` do not fit."""
        if not 0 <= rows <= self.capacity:
            raise ValueError(f"{rows} rows exceed the capacity of {self.capacity}")
        if rows != self.rows:
            self._straighten()
            self.rows = rows
            self._bind()
        if keys is not None:
            self._keys[:rows] = keys

    def read(self, buffer: str) -> Array:
        """See `Executor`."""
        ring = self._rings.get(buffer)
        array = self._present(buffer).copy() if ring is None else ring.read(self.rows)
        entry = self.program.buffers.get(buffer)
        if entry is not None and entry.place is Place.ROW:
            return array[..., 0]
        return self._unpacked(buffer, array)

    def write(self, buffer: str, value: Array | float) -> None:
        """See `Executor`; ValueError when the shape does not fit."""
        if buffer in self._rings:
            self._write_ring(buffer, value)
            return
        target = self._present(buffer)
        entry = self.program.buffers.get(buffer)
        if entry is not None and entry.place is Place.ROW:
            target = target[:, 0]
        known = entry is not None
        np.copyto(target, self._packed(buffer, value) if known else value, casting="unsafe")
        if buffer in self._active:
            self._active[buffer].changed()
        self._written(buffer, value)

    def _write_ring(self, buffer: str, value: Array | float) -> None:
        given = self._packed(buffer, value)
        if self.program.buffers[buffer].place is Place.ROW and given.ndim:
            given = given[..., None]
        self._rings[buffer].write(self.rows, given)
        for name, active in self._active.items():
            if name in self.module.views and self.module.views[name].ring == buffer:
                active.look(self._shown(name))
        self._written(buffer, value)

    def _form_all_products(self, whole: bool) -> None:
        for active in self._active.values():
            active.whole = whole

    def _call(self, routine: str, steps: int, first: int, last: int) -> None:
        function = self._space[self.module.routines[routine]]
        with np.errstate(all="ignore"):
            function(steps, first, last)

    def nbytes(self) -> int:
        """See `Executor`; work arrays included."""
        held = sum(array.nbytes for array in self._buffers.values()) + self._scratch.nbytes
        return held + sum(edges.nbytes for edges in self._edges.values())

    def source(self) -> str:
        """The generated module."""
        return self.module.text

    def close(self) -> None:
        """Drop the module and its lines."""
        linecache.cache.pop(self._file, None)
        self._space = {}
