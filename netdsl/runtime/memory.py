"""How much memory a program's buffers need, and whether the machine has it."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path

from netdsl.backends.base import given_by_host
from netdsl.ir.network import Draw
from netdsl.ir.places import expected_edges, packed_bytes, stored_shape
from netdsl.ir.program import Buffer, Edges, Program
from netdsl.runtime.errors import RunFault
from netdsl.streams.connectivity import expected_count, structure_bytes

_SHARE = 0.9  # of what is available; the rest is for the data and the interpreter itself
_DRAWING = 64  # bytes for a synapse while its projection is drawn, measured
_CGROUP = Path("/sys/fs/cgroup/memory.max")


def buffer_bytes(
    program: Program, rows: int, dtype: str, edges: Mapping[str, int] | None = None
) -> dict[str, int]:
    """Bytes of every buffer with `rows` samples, largest first.

    `edges` counts the synapses of projections that store only existing ones; what is expected, if
    not given.
    """
    counts = expected_edges(program) if edges is None else edges
    size = 8 if dtype == "float64" else 4

    def of(buffer: Buffer) -> int:
        *shape, last = (1, *stored_shape(buffer.name, program, rows, counts))
        if buffer.packed:
            return math.prod(shape) * packed_bytes(last)
        return math.prod(shape) * last * (8 if buffer.double else size)

    bytes_of = {name: of(buffer) for name, buffer in program.buffers.items()}
    return dict(sorted(bytes_of.items(), key=lambda item: -item[1]))


def edge_bytes(program: Program, edges: Mapping[str, int] | None = None) -> dict[str, int]:
    """Bytes that say which synapses exist, by projection that stores only these."""
    counts = expected_edges(program) if edges is None else edges
    return {name: structure_bytes(n, program.shapes[name]) for name, n in counts.items()}


def available_bytes() -> int | None:
    """Memory that can be had now without swapping; None where the system does not say."""
    found = []
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                found.append(int(line.split()[1]) * 1024)
    except (OSError, ValueError):
        pass
    try:
        found.append(int(_CGROUP.read_text()))
    except (OSError, ValueError):
        pass
    if not found:
        try:
            found.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
        except (AttributeError, OSError, ValueError):
            return None
    return min(found)


def shortage(needed: int, available: int | None = None) -> int | None:
    """Bytes that the machine has left when `needed` are too many (`available`: so many, say);
    None when they can be had, or the system does not say."""
    limit = available_bytes() if available is None else available
    return None if limit is None or needed <= limit * _SHARE else limit


def drawing_bytes(program: Program) -> int:
    """Bytes needed for a moment while the projection with most synapses is drawn."""
    drawn = [
        (layout.mask, program.shapes[name])
        for name, layout in program.layouts.items()
        if isinstance(layout, Edges)
    ]
    drawn += [
        (buffer.init, program.shapes[buffer.owner])
        for buffer in program.buffers.values()
        if buffer.role == "mask" and isinstance(buffer.init, Draw)
    ]
    return round(_DRAWING * max((expected_count(*made) for made in drawn), default=0.0))


def require_memory(
    program: Program, rows: int, dtype: str, available: int | None = None, members: int = 1
) -> int:
    """Bytes needed, by `members` of an ensemble. Raises RunFault E0820 when they are not there;
    nothing is allocated yet."""
    given = given_by_host(program)
    sizes = {
        f"`{name}`": size * (1 if name in given else members)
        for name, size in buffer_bytes(program, rows, dtype).items()
    }
    sizes.update({f"synapses of `{name}`": size for name, size in edge_bytes(program).items()})
    sizes["drawing of synapses"] = drawing_bytes(program)
    needed = sum(sizes.values())
    limit = shortage(needed, available)
    if limit is None:
        return needed
    biggest = sorted(sizes.items(), key=lambda item: -item[1])[:3]
    listed = ", ".join(f"{name} {readable(size)}" for name, size in biggest if size)
    raise RunFault(
        "E0820",
        f"the {_who(members)} {readable(needed)} for {rows} samples at a time in {dtype}, and the"
        f" machine has {readable(limit)} left; the largest: {listed}",
        "make populations or the batch smaller, or use float32; see `netdsl show memory SPEC`",
    )


def _who(members: int) -> str:
    return "network needs" if members == 1 else f"{members} members of the ensemble need"


def readable(size: float) -> str:
    """A number of bytes as people write it: `1.5 GiB`."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return ""
