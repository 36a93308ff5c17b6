"""What `struct net` of a CUDA program holds, and how many numbers every field needs.

As in C every field is 8 bytes, so that the host fills one array of words; what fields point to lies
in device memory, sized for the largest number of rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

from netdsl.codegen.plan.layout import BITS, Field, Layout, Window
from netdsl.ir.network import Place
from netdsl.ir.places import fixed_length, packed_bytes
from netdsl.ir.program import Propagate
from netdsl.ir.roles import of_kind
from netdsl.ir.space import EDGE, OTHER, ROW, Space

# Fields that every program has, before the buffers.
HEAD = (
    ("rows", "int64_t rows", "samples present"),
    ("seed", "uint64_t seed", "of the random streams"),
    ("row_key", "const uint64_t *row_key", "(R,)"),
    ("scales", "real *scales", "factors of matrix products"),
    ("scalars", "double *scalars", "computed once, before a kernel"),
    ("progress", "int64_t *progress", "the last kernel that began"),
    ("nonzeros", "int64_t *nonzeros", "counts of nonzeros by block"),
)
LIST_PARTS = ("count", "column", "value", "row_count", "row")
EDGE_PARTS = {"start": 8, "pre": 4, "post": 4, "in_start": 8, "in_edge": 4}  # bytes of an element
COUNT_BLOCKS = 64  # blocks that count one window's nonzeros


@dataclass(frozen=True)
class Room:
    """Device memory of one field: elements for a number of rows, of `itemsize` bytes."""

    field: str  # of `struct net`; a part of a list is "NAME.part"
    itemsize: int
    fixed: int
    per_row: int
    what: str
    pairs: bool = False  # `per_row` is of a row and another one

    def nbytes(self, rows: int) -> int:
        """Bytes with `rows` samples."""
        return self.itemsize * (self.fixed + self.per_row * rows * (rows if self.pairs else 1))


@dataclass
class CudaList:
    """Which lists of a window's nonzeros are wanted: by row, with values, by column."""

    window: Window
    name: str
    by_row: bool = False
    values: bool = False
    by_column: bool = False


@dataclass
class CudaLayout(Layout):
    """Identifiers and memory of one program on a device."""

    turns: ClassVar[bool] = True
    splits: ClassVar[bool] = False  # a thread has one neuron, and NVRTC takes long code well
    wanted: dict[Window, CudaList] = field(default_factory=dict)
    turned: dict[Window, str] = field(default_factory=dict)
    edge_counts: Mapping[str, int] = field(default_factory=dict)  # synapses of projections
    counted: list[Window] = field(default_factory=list)
    scalars: int = 0
    # Factors of matrix products: constants by value; None is filled in by a kernel.
    scales: list[float | None] = field(default_factory=lambda: [0.0, 1.0])

    def cuda_list(
        self, window: Window, *, by_row: bool = False, values: bool = False, by_column: bool = False
    ) -> CudaList:
        """The lists of a window, made on first request."""
        if window not in self.wanted:
            self.wanted[window] = CudaList(window, self.list_of(window).name)
        use = self.wanted[window]
        use.by_row |= by_row or values
        use.values |= values
        use.by_column |= by_column
        return use

    def turned_of(self, window: Window) -> str:
        """The field of a window's rows by neuron, (width, R)."""
        if window not in self.turned:
            self.turned[window] = self.names.fresh(f"turned {window.buffer}")
        return self.turned[window]

    def count_slot(self, window: Window) -> int:
        """First place of a window's counts in `nonzeros`."""
        if window not in self.counted:
            self.counted.append(window)
        return self.counted.index(window) * COUNT_BLOCKS

    def scalar_slot(self) -> int:
        """A new place in `scalars`."""
        self.scalars += 1
        return self.scalars - 1

    def scale_slot(self, value: float | None) -> int:
        """Place of a constant factor, or (None) a new one that a kernel fills."""
        if value is not None and value in self.scales:
            return self.scales.index(value)
        self.scales.append(value)
        return len(self.scales) - 1

    def fields(self) -> Iterable[Field]:
        """All fields in order."""
        for name, declaration, note in HEAD:
            yield Field(name, declaration, note)
        yield from self.buffer_fields()
        for window, ident in self.sums.items():
            yield Field(ident, f"real *{ident}", f"sums over rows of {window.buffer}")
        for use in self.wanted.values():
            note = f"nonzeros of {use.window.buffer}"
            yield Field(use.name, f"struct list {use.name}", note, len(LIST_PARTS))
        for window, ident in self.turned.items():
            yield Field(ident, f"real *{ident}", f"rows of {window.buffer} by neuron")
        yield from self.edge_fields()

    def rooms(self) -> Iterable[Room]:
        """Memory of every field that points to some."""
        yield Room("row_key", 8, 0, 1, "random keys")
        yield Room("scales", self.real_bytes, len(self.scales), 0, "factors of matrix products")
        yield Room("nonzeros", 8, COUNT_BLOCKS * len(self.counted), 0, "counts of nonzeros")
        yield Room("scalars", 8, self.scalars, 0, "scalars computed once")
        for name, buffer in self.program.buffers.items():
            if name in self.views and name not in self.staged:
                continue
            if name in self.rings or buffer.place is not Place.GLOBAL:
                fixed, per_row = (buffer.slots * part for part in self.extent(name))
                size = {"real": self.real_bytes, BITS: 1}.get(self.ctype(name), 8)
                pairs = OTHER in buffer.space
                yield Room(self.names(name), size, fixed, per_row, name, pairs)
        for window, ident in self.sums.items():
            what = f"sums over rows of {window.buffer}"
            yield Room(ident, self.real_bytes, window.width, 0, what)
        for window, ident in self.turned.items():
            what = f"rows of {window.buffer} by neuron"
            yield Room(ident, self.real_bytes, 0, window.width, what)
        yield from self._edge_rooms()
        for use in self.wanted.values():
            what, width = f"nonzeros of {use.window.buffer}", use.window.width
            if use.by_row:
                yield Room(f"{use.name}.count", 4, 0, 1, what)
                yield Room(f"{use.name}.column", 4, 0, width, what)
            if use.values:
                yield Room(f"{use.name}.value", self.real_bytes, 0, width, what)
            if use.by_column:
                yield Room(f"{use.name}.row_count", 4, width, 0, what)
                yield Room(f"{use.name}.row", 4, 0, width, what)

    def _edge_rooms(self) -> Iterable[Room]:
        for projection, ident in self.edges.items():
            m, n = self.program.shapes[projection]
            sizes = {"start": m + 1, "in_start": n + 1}
            for part, itemsize in EDGE_PARTS.items():
                size = sizes.get(part, self.edge_counts[projection])
                what = f"synapses of {projection}"
                yield Room(f"{ident}.{part}", itemsize, size, 0, what)

    @cached_property
    def staged(self) -> frozenset[str]:
        """Views whose slots are copied: for products, which read from a fixed address, and out of
        bits."""
        ops = (op for routine in self.program.routines.values() for op in routine.ops)
        dense = (
            op
            for op in of_kind(Propagate, ops)
            if not self.edges_of(op.weight) and op.projection not in self.program.windows
        )
        bits = {n for n, v in self.views.items() if self.program.buffers[v.ring].packed}
        return frozenset(op.source for op in dense) & self.views.keys() | bits

    def extent(self, buffer: str) -> tuple[int, int]:
        """Elements of a buffer that do not depend on the rows, and elements of one row; of a ring
        those of one slot."""
        if self.program.buffers[buffer].packed:
            return 0, packed_bytes(self.width(buffer))
        return self.counts(self.program.buffers[buffer].space)

    def counts(self, space: Space) -> tuple[int, int]:
        """As `extent`, of a space; those of one row with one other row."""
        size = 1
        for axis in space:
            length = fixed_length(axis, self.program)
            if length is not None:
                size *= length
            elif axis.kind == EDGE:
                m, n = self.program.shapes[axis.owner]
                size *= self.edge_counts[axis.owner] if axis.owner in self.edges else m * n
        return (0, size) if ROW in space else (size, 0)
