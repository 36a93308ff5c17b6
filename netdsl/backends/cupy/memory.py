"""The memory plan of a CUDA program: one allocation, its parts, and whether the device has it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from netdsl.codegen.cuda.layout import EDGE_PARTS, LIST_PARTS, CudaLayout, Room
from netdsl.codegen.errors import BackendError

ALIGNMENT = 256  # of every part, as the device's own allocator has it
SHARE = 0.95  # of what is free; the rest is for kernels, graphs and the matrix library
_WORD = 8


@dataclass(frozen=True)
class MemoryPlan:
    """Places of fields in one allocation. `words`: index of every field's word in `struct net`."""

    rooms: tuple[Room, ...]
    offsets: Mapping[str, int]
    words: Mapping[str, int]
    struct_bytes: int
    nbytes: int


def plan_memory(layout: CudaLayout, rows: int) -> MemoryPlan:
    """Lay out `struct net`, then everything it points to, for at most `rows` samples."""
    words: dict[str, int] = {}
    count = 0
    for field in layout.fields():
        parts = [field.name]
        for kind, names in (("list", LIST_PARTS), ("edges", tuple(EDGE_PARTS))):
            if field.declaration.startswith(f"struct {kind} "):
                parts = [f"{field.name}.{part}" for part in names]
        words.update({part: count + k for k, part in enumerate(parts)})
        count += len(parts)
    struct_bytes = count * _WORD
    offset = _aligned(struct_bytes)
    rooms = tuple(layout.rooms())
    offsets = {}
    for room in rooms:
        offsets[room.field] = offset
        offset += _aligned(room.nbytes(rows))
    return MemoryPlan(rooms, offsets, words, struct_bytes, offset)


def require(plan: MemoryPlan, rows: int, free: int, device: str) -> None:
    """BackendError E0851 when the plan does not fit in `free` bytes of the device."""
    if plan.nbytes <= free * SHARE:
        return
    largest = sorted(plan.rooms, key=lambda room: -room.nbytes(rows))[:3]
    listed = ", ".join(f"`{room.what}` {mebibytes(room.nbytes(rows))}" for room in largest)
    raise BackendError(
        "E0851",
        f"the network needs {mebibytes(plan.nbytes)} for {rows} samples at a time, and {device} has"
        f" {mebibytes(free)} free; the largest: {listed}",
        "make populations or the batch smaller, use float32, or run with --backend numpy",
    )


def mebibytes(nbytes: int) -> str:
    """`1,234.5 MiB`."""
    return f"{nbytes / 2**20:,.1f} MiB"


def _aligned(nbytes: int) -> int:
    return -(-nbytes // ALIGNMENT) * ALIGNMENT
