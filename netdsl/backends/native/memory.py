"""Memory of a run: aligned arrays, and the words of the generated library's `struct net`."""

from __future__ import annotations

import contextlib
import math
import mmap
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from netdsl.backends.base import given_by_host
from netdsl.codegen.plan.layout import EDGE_PARTS, LIST_PARTS, Layout, ListUse
from netdsl.ir.network import Place
from netdsl.ir.places import packed_bytes, slot_shape, stored_shape
from netdsl.ir.space import per_sample
from netdsl.streams.connectivity import Connections

_ALIGNMENT = 64
_VECTOR = 64  # bytes
_PAGE = 4096
_LARGE = 4 * 2**20  # bytes of an array for which large pages are asked
# Large arrays begin at a page. A loop over several of them would find them all in the same cache
# sets, and its loads would wait for stores to addresses equal modulo a page: hence other offsets.
_STAGGER = 5 * _ALIGNMENT
Array = npt.NDArray[np.generic]

STAT = np.dtype(
    [
        ("calls", np.int64),
        ("gathered", np.int64),
        ("last_gathered", np.int64),
        ("density", np.float64),
        ("seconds", np.float64),
        ("bytes", np.float64),
        ("flops", np.float64),
        ("unused", np.float64),
    ]
)


def _zeros(size: int) -> npt.NDArray[np.uint8]:
    """So many bytes, in large pages where they fill some: fewer addresses to look up."""
    advice = getattr(mmap, "MADV_HUGEPAGE", None)
    if size < _LARGE or advice is None:
        return np.zeros(size, np.uint8)
    held = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # of a kernel without such pages
        held.madvise(advice)
    return np.frombuffer(held, np.uint8)


def aligned(count: int, dtype: npt.DTypeLike, number: int = 0) -> Array:
    """Zeros that begin at a cache line; arrays of other `number` at another place in a page."""
    kind = np.dtype(dtype)
    raw = _zeros(max(count, 1) * kind.itemsize + _PAGE + _ALIGNMENT)
    skip = -raw.ctypes.data % _ALIGNMENT + number * _STAGGER % _PAGE
    return raw[skip : skip + max(count, 1) * kind.itemsize].view(kind)


class Memory:
    """All arrays of a run for at most `rows` samples, and the struct that points to them.

    `full_lists`: index lists have room for every element instead of a quarter of them. `beside`:
    the memory of another network of the same layout, never called at the same time; samples, random
    keys, synapses' ends and scratch are the same arrays.
    """

    def __init__(
        self,
        layout: Layout,
        rows: int,
        operations: int,
        connections: Mapping[str, Connections],
        *,
        full_lists: bool,
        beside: Memory | None = None,
    ) -> None:
        self.connections = connections
        self.layout, self.rows, self.full_lists = layout, rows, full_lists
        self.real = np.dtype(np.float32 if layout.real == "float" else np.float64)
        self.slots: dict[str, int] = {}
        size = 0
        for field in layout.fields():
            self.slots[field.name] = size
            size += field.words
        self.net = aligned(size, np.uint64)
        self.doubles = self.net.view(np.float64)
        self.stats: Array = np.zeros(operations, STAT) if beside is None else beside.stats
        self.row_key: Array = aligned(rows, np.uint64) if beside is None else beside.row_key
        self._arrays: dict[int, Array] = {}  # by address, since the library exchanges pointers
        self._beside = beside
        self._lent: set[int] = set()  # addresses of arrays that belong to another
        self._fill()
        self._following = self._places()
        self._resting = self.net[self._following]  # where they were when they were last whole

    def nbytes(self) -> int:
        """Bytes of all arrays."""
        return sum(a.nbytes for place, a in self._arrays.items() if place not in self._lent)

    def __getitem__(self, buffer: str) -> Array:
        """The memory that a buffer occupies now: a flat array for `rows` samples."""
        return self._arrays[int(self.net[self.slots[self.layout.names(buffer)]])]

    def settle(self, first: int) -> None:
        """Let rows from `first` on, which no step has touched since the last call, follow their
        buffers to the memory that these occupy now."""
        places = self.net[self._following]
        if not (moved := np.flatnonzero(places != self._resting)).size:
            return
        rest = {n: self._rows(int(self._resting[n]))[first:].copy() for n in moved}
        for n, values in rest.items():
            self._rows(int(places[n]))[first:] = values
        self._resting = places

    def _places(self) -> npt.NDArray[np.int64]:
        """Fields of the buffers that have a row for each sample; rings move by their heads."""
        layout = self.layout
        return np.array(
            [
                self.slots[layout.names(name)]
                for name, buffer in layout.program.buffers.items()
                if per_sample(buffer.place)
                and buffer.place is not Place.PAIR
                and name not in layout.rings
                and name not in layout.views
            ],
            np.int64,
        )

    def _rows(self, address: int) -> Array:
        return self._arrays[address].reshape(self.rows, -1)

    def word(self, name: str, value: int) -> None:
        """Set a field of the struct's head."""
        self.net[self.slots[name]] = value

    def scalar(self, buffer: str) -> int:
        """Index into `doubles` of a GLOBAL buffer."""
        return self.slots[self.layout.names(buffer)]

    def _new(self, slot: int, count: int, dtype: npt.DTypeLike) -> None:
        array = aligned(count, dtype, len(self._arrays))
        self._arrays[array.ctypes.data] = array
        self.net[slot] = array.ctypes.data

    def _same(self, slot: int) -> bool:
        """Take the array of the memory beside this one, where there is one."""
        if self._beside is None:
            return False
        address = int(self._beside.net[slot])
        self.net[slot] = address
        self._arrays[address] = self._beside._arrays[address]
        self._lent.add(address)
        return True

    def _fill(self) -> None:
        given = given_by_host(self.layout.program)
        layout, rows = self.layout, self.rows
        edges = {name: found.count for name, found in self.connections.items()}
        for name, buffer in layout.program.buffers.items():
            if name in layout.rings:
                self._ring(name)
            elif name in given and self._same(self.slots[layout.names(name)]):
                continue
            elif buffer.place is not Place.GLOBAL and not self._shown(name):
                count = math.prod(stored_shape(name, layout.program, rows, edges))
                kind = np.dtype(np.float64) if buffer.double else self.real
                self._new(self.slots[layout.names(name)], count, kind)
        for window, ident in layout.sums.items():
            self._new(self.slots[ident], window.width, self.real)
        for use in layout.lists.values():
            self._list(use)
        for projection, ident in layout.edges.items():
            self._edges(ident, self.connections[projection])
        pairs = self._entries(layout.pair_columns) + layout.most_sources * (rows + 65)
        scratch: Mapping[str, tuple[int, npt.DTypeLike]] = {
            "tile": (layout.tile_reals, self.real),
            "turned": (layout.turned_width * (rows + _VECTOR // self.real.itemsize), self.real),
            "pairs": (pairs, np.int32),
            "lines": (layout.line_reals, self.real),
            "words": (layout.words, np.uint32),
            "bits": (rows, np.uint64),
            "normals": (layout.normals, np.float64),
        }
        for name, (count, dtype) in scratch.items():
            if not self._same(self.slots[name]):
                self._new(self.slots[name], count, dtype)
        self.word("row_key", self.row_key.ctypes.data)
        self.word("stats", self.stats.ctypes.data)

    def _shown(self, name: str) -> bool:
        """Is a buffer a slot of a ring, in the ring's own memory?"""
        view = self.layout.views.get(name)
        return view is not None and not self.layout.program.buffers[view.ring].packed

    def _ring(self, name: str) -> None:
        layout, use = self.layout, self.layout.rings[name]
        held = layout.program.buffers[name]
        step = math.prod(slot_shape(name, layout.program, self.rows))
        kind = self.real if layout.ctype(name) == "real" else np.dtype(np.float64)
        if held.packed:
            step, kind = self.rows * packed_bytes(layout.width(name)), np.dtype(np.uint8)
        self._new(self.slots[layout.names(name)], held.slots * step, kind)
        self.word(use.step, step)

    def ring(self, name: str) -> tuple[Array, int]:
        """The slots of a ring, (slots, elements), and which is the newest."""
        use = self.layout.rings[name]
        step, head = (int(self.net[self.slots[field]]) for field in (use.step, use.head))
        return self[name][: self.layout.program.buffers[name].slots * step].reshape(-1, step), head

    def aim(self, name: str) -> None:
        """Let the first slot of a ring be the newest, and point its views accordingly."""
        self.word(self.layout.rings[name].head, 0)
        slots = self.ring(name)[0]
        for view, seen in self.layout.views.items():
            if seen.ring == name and self._shown(view):
                slot = slots[seen.ago if isinstance(seen.ago, int) else 0]
                place = self.slots[self.layout.names(view)]
                if self.layout.program.buffers[view].place is Place.GLOBAL:
                    self.doubles[place] = slot[0]
                else:
                    self.net[place] = slot.ctypes.data

    def _edges(self, ident: str, connections: Connections) -> None:
        """Copies, since the library reads a vector of synapses beyond their end."""
        slot = self.slots[ident]
        for number, part in enumerate(EDGE_PARTS):
            if self._same(slot + number):
                continue
            values = getattr(connections, part)
            self._new(slot + number, len(values), values.dtype)
            self._arrays[int(self.net[slot + number])][: len(values)] = values

    def _entries(self, width: int) -> int:
        # The library gives up when there is no room for a whole row and a vector of entries.
        return self.rows * width // (1 if self.full_lists else 4) + width + 64

    def _list(self, use: ListUse) -> None:
        width, rows = use.window.width, self.rows
        capacity = self._entries(width)
        sizes: dict[str, tuple[int, npt.DTypeLike]] = {
            "start": (rows + 1, np.int32),
            "column": (capacity, np.int32),
            "value": (capacity if use.values else 0, self.real),
            "row_start": (width + 2 if use.columns else 0, np.int32),
            "row": (capacity if use.columns else 0, np.int32),
            "row_value": (capacity if use.turned else 0, self.real),
        }
        slot = self.slots[use.name]
        for part, (count, dtype) in sizes.items():
            if count:
                self._new(slot + LIST_PARTS.index(part), count, dtype)
        self.net[slot + LIST_PARTS.index("capacity")] = capacity
        self.net[slot + LIST_PARTS.index("whole")] = 1
