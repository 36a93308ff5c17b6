"""Chunks of batches as the generated library takes them: words of its `struct chunk`."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from netdsl.backends.chunks import Call, Chunk, Plan
from netdsl.backends.native.memory import Memory
from netdsl.ir.network import Place

Array = npt.NDArray[np.generic]


def chunk_entry(library: ctypes.CDLL) -> Any:
    """The library's function that runs a chunk."""
    entry = library.run_chunk
    entry.argtypes, entry.restype = (ctypes.c_void_p, ctypes.c_void_p), None
    return entry


def _address(entry: Any) -> int:
    return ctypes.cast(entry, ctypes.c_void_p).value or 0


class ChunkWords:
    """A chunk's structs; they live as long as this object."""

    def __init__(
        self, plan: Plan, chunk: Chunk, entries: Mapping[str, Any], memory: Memory
    ) -> None:
        self._plan, self._chunk, self._memory = plan, chunk, memory
        self._actions = np.zeros((len(plan.actions), 4), np.uint64)
        for row, action in enumerate(plan.actions):
            if isinstance(action, Call):
                self._actions[row, 0] = _address(entries[action.routine])
                self._actions[row, 1] = action.steps
            else:
                self._actions[row, 2] = memory.scalar(action.buffer)
                self._actions.view(np.float64)[row, 3] = action.value
        self._places = np.array([memory.scalar(name) for name in plan.numbers], np.int64)
        self._arrays: list[Array] = []
        self._fed = np.zeros((len(plan.fed), 4), np.uint64)
        for row, name in enumerate(plan.fed):
            fed = chunk.fed[name]
            values = np.ascontiguousarray(fed.values, memory.real)
            index = np.ascontiguousarray(fed.index, np.int64)
            self._arrays += [values, index]
            width = values[0].size
            self._fed[row] = values.ctypes.data, index.ctypes.data, memory.scalar(name), width
        self._kept = np.zeros((len(plan.kept), 4), np.uint64)

    def keep(self, name: str, shape: tuple[int, ...]) -> Array:
        """The array, (batches, …), for what is put aside of a buffer."""
        buffer = self._memory.layout.program.buffers[name]
        number = buffer.place is Place.GLOBAL
        kind = np.dtype(np.float64) if number or buffer.double else self._memory.real
        array = np.empty(shape, kind)
        size = array[0].nbytes
        place = self._memory.scalar(name)
        self._kept[self._plan.kept.index(name)] = array.ctypes.data, place, size, number
        return array

    def address(self, rows: int) -> int:
        """Where the library finds the chunk, of batches of so many samples."""
        keys = np.ascontiguousarray(self._chunk.keys, np.uint64)
        numbers = np.ascontiguousarray(self._chunk.numbers, np.float64)
        parts = (self._actions, self._fed, self._kept)
        words = [len(keys), rows, keys.ctypes.data, self._memory.row_key.ctypes.data]
        words += [numbers.ctypes.data, self._places.ctypes.data, len(self._places)]
        for part in parts:
            words += [part.ctypes.data, len(part)]
        self._words = np.array(words, np.uint64)
        self._arrays += [keys, numbers]
        return int(self._words.ctypes.data)
