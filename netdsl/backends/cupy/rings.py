"""Rings in device memory as the host sees them: slots in order of age."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from netdsl.backends.base import Array
from netdsl.backends.bits import packed, unpacked
from netdsl.backends.cupy.memory import MemoryPlan
from netdsl.codegen.cuda.layout import CudaLayout
from netdsl.ir.network import Place
from netdsl.ir.places import slot_shape

Move = Callable[[int, npt.NDArray[Any]], None]


class DeviceRings:
    """The rings of a program for at most `rows` samples.

    `download` and `upload` copy from and to an address of the device; `base` is that of its memory.
    """

    def __init__(
        self, layout: CudaLayout, plan: MemoryPlan, base: int, rows: int, moves: tuple[Move, Move]
    ) -> None:
        self.layout, self.plan, self.base, self.rows = layout, plan, base, rows
        self.download, self.upload = moves
        for name, use in layout.rings.items():
            self._word(use.step, np.array([self._step(name)]))
            shape = (layout.program.buffers[name].slots, *slot_shape(name, layout.program, rows))
            self.write(name, np.zeros(shape))

    def read(self, name: str, rows: int) -> Array:
        """The slots of the first rows, the newest first."""
        head = np.zeros(1, np.int64)
        self.download(self.base + 8 * self.plan.words[self.layout.rings[name].head], head)
        shape = slot_shape(name, self.layout.program, rows)
        held = self._held(name)
        if self.layout.program.buffers[name].packed:
            bits = held.reshape(len(held), self.rows, -1)[:, :rows]
            real = np.float32 if self.layout.real == "float" else np.float64
            held = unpacked(bits, shape[-1], real).reshape(len(held), -1)
        held = held[:, : int(np.prod(shape, dtype=np.int64))]
        return np.roll(held, -int(head[0]), axis=0).reshape(len(held), *shape)

    def write(self, name: str, values: Array) -> None:
        """Overwrite the first rows of all slots with (slots, ...), the newest first."""
        slots = self.layout.program.buffers[name].slots
        if self.layout.program.buffers[name].packed:
            values = packed(values)
        given = values.reshape(slots, -1)
        whole = given
        if given.shape[1] < self._step(name):
            whole = self._held(name)
            whole[:, : given.shape[1]] = given
        self.upload(self._address(name), np.ascontiguousarray(whole, self._type(name)))
        self._word(self.layout.rings[name].head, np.zeros(1, np.int64))
        for view, seen in self.layout.views.items():
            if seen.ring == name and not self.layout.program.buffers[name].packed:
                self._aim(view, seen.ago if isinstance(seen.ago, int) else 0, whole)

    def _aim(self, view: str, slot: int, whole: Array) -> None:
        """Point a view to its slot, or give it what stands there."""
        name, ring = self.layout.names(view), self.layout.views[view].ring
        values = np.ascontiguousarray(whole[slot], self._type(ring))
        if view in self.layout.staged:
            self.upload(self._address(view), values)
        elif self.layout.program.buffers[view].place is Place.GLOBAL:
            self._word(name, values)
        else:
            place = self._address(ring) + slot * self._step(ring) * values.itemsize
            self._word(name, np.array([place], np.uint64))

    def _step(self, name: str) -> int:
        fixed, per_row = self.layout.extent(name)
        return fixed + per_row * self.rows

    def _held(self, name: str) -> npt.NDArray[Any]:
        out = np.empty(
            (self.layout.program.buffers[name].slots, self._step(name)), self._type(name)
        )
        self.download(self._address(name), out)
        return out

    def _type(self, name: str) -> np.dtype[Any]:
        if self.layout.program.buffers[name].packed:
            return np.dtype(np.uint8)
        single = self.layout.ctype(name) == "real" and self.layout.real == "float"
        return np.dtype(np.float32 if single else np.float64)

    def _address(self, name: str) -> int:
        return self.base + self.plan.offsets[self.layout.names(name)]

    def _word(self, field: str, value: npt.NDArray[Any]) -> None:
        self.upload(self.base + 8 * self.plan.words[field], value)
