"""What the generated library's `struct net` holds, field by field, and who uses which.

Every field is 8 bytes: pointers, 64-bit integers and doubles, in the order of `Layout.fields`, so
that the host fills one array of words. Buffers of place GLOBAL are doubles of the struct itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from netdsl.codegen.c.printer import DOUBLE, FLOAT, literal
from netdsl.codegen.names import Names
from netdsl.ir.expr import Expr
from netdsl.ir.functions import c_names
from netdsl.ir.network import Place
from netdsl.ir.places import fixed_length
from netdsl.ir.program import Edges, Program
from netdsl.ir.rings import View, with_views
from netdsl.ir.space import EDGE, Axis, Space

# Fields that every library has, before the buffers.
_HEAD = (
    ("rows", "int64_t rows", "samples present"),
    ("seed", "uint64_t seed", "of the random streams"),
    ("strategy", "int64_t strategy", "AUTO, or what to do wherever there is a choice"),
    ("gemm", "void *gemm", "the matrix product of a BLAS library, or NULL"),
    ("gemm_int_bits", "int64_t gemm_int_bits", "size of its integers"),
    ("row_key", "const uint64_t *row_key", "(R,)"),
    ("stats", "struct stat *stats", "one for each operation"),
    ("tile", "real *tile", "products of the tile of synapses being updated"),
    ("turned", "real *turned", "factors of products over existing synapses, by neuron"),
    ("pairs", "int32_t *pairs", "uses of the rows of a tile"),
    ("storing", "int64_t storing", "whether this is the last step of a call"),
    ("lines", "real *lines", "rows of what is not stored as a matrix now"),
    ("words", "uint32_t *words", "random words of one row"),
    ("bits", "uint64_t *bits", "which units of a tile spike, for each row"),
    ("normals", "double *normals", "normal draws of one row"),
)
BITS = "uint8_t"
LIST_WORDS = 11
LIST_PARTS = (
    "capacity",
    "nonzeros",
    "skip",
    "by_column",
    "whole",
    "start",
    "column",
    "value",
    "row_start",
    "row",
    "row_value",
)
EDGE_PARTS = ("start", "pre", "post")
# Names of C's own headers that a buffer could otherwise hide or be replaced by.
_HEADERS = (
    "int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t size_t NAN INFINITY "
    "NULL linux unix i386 memset memcpy signgam y0 y1 yn j0 j1 jn gamma real vector LANES"
)


@dataclass(frozen=True)
class Window:
    """Columns `first` to `last` - 1 of a UNIT buffer."""

    buffer: str
    first: int
    last: int

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.last - self.first


@dataclass
class ListUse:
    """An index list of a window: whether values and the transposed list are wanted.

    `turned`: the transposed list is wanted with values.
    """

    window: Window
    name: str
    values: bool = False
    columns: bool = False
    turned: bool = False


@dataclass(frozen=True)
class RingUse:
    """The fields that say which slot of a ring is the newest, and how many elements a slot has."""

    head: str
    step: str


@dataclass(frozen=True)
class Field:
    """One field of `struct net`: its declaration in C and a note."""

    name: str
    declaration: str
    note: str
    words: int = 1


@dataclass
class Layout:
    """Identifiers, sizes and scratch of one program in one float type."""

    program: Program
    real: str = FLOAT
    names: Names = field(default_factory=Names)
    lists: dict[Window, ListUse] = field(default_factory=dict)
    sums: dict[Window, str] = field(default_factory=dict)
    edges: dict[str, str] = field(default_factory=dict)  # fields of projections, by their names
    rings: dict[str, RingUse] = field(default_factory=dict)
    views: Mapping[str, View] = field(default_factory=dict)  # slots that are read, by their names
    splits: ClassVar[bool] = True  # does the compiler need long loops in parts
    turns: ClassVar[bool] = False  # are factors turned by an instruction, or where they are used
    tile_reals: int = 0
    turned_width: int = 0  # neurons whose rows are brought together at once
    line_reals: int = 0
    most_sources: int = 1
    pair_columns: int = 0
    words: int = 0
    normals: int = 0
    poisson: bool = False  # are Poisson counts drawn
    gamma: bool = False

    @classmethod
    def of(cls, program: Program, dtype: str, reserved_text: str) -> Layout:
        """A layout whose names avoid every identifier of `reserved_text` and of C's headers. Slots
        of rings become views in its program."""
        program, views = with_views(program)
        taken = set(re.findall(r"[A-Za-z_]\w*", reserved_text)) | set(_HEADERS.split()) | c_names()
        taken |= {name for name, _, _ in _HEAD} | {"net"}
        layout = cls(program, FLOAT if dtype == "float32" else DOUBLE, Names(taken))
        layout.views = views
        for buffer in program.buffers:
            layout.names(buffer)
        for name, held in program.buffers.items():
            if held.slots > 1:
                fresh = layout.names.fresh
                layout.rings[name] = RingUse(fresh(f"{name} head"), fresh(f"{name} step"))
        for projection, form in program.layouts.items():
            if isinstance(form, Edges):
                layout.edges[projection] = layout.names.fresh(f"{projection} edges")
        return layout

    @property
    def real_bytes(self) -> int:
        """Size of a `real`."""
        return 4 if self.real == FLOAT else 8

    def list_of(
        self, window: Window, *, values: bool = False, columns: bool = False, turned: bool = False
    ) -> ListUse:
        """The index list of a window, made on first request."""
        if window not in self.lists:
            name = self.names.fresh(f"list {window.buffer}")
            self.lists[window] = ListUse(window, name)
        use = self.lists[window]
        use.values |= values
        use.columns |= columns or turned
        use.turned |= turned
        return use

    def pairs(self, target: str, source: str) -> list[tuple[str, str]]:
        """Lists of equal windows of two buffers, by name."""
        return [
            (use.name, self.lists[Window(source, window.first, window.last)].name)
            for window, use in self.lists.items()
            if window.buffer == target and Window(source, window.first, window.last) in self.lists
        ]

    def sum_of(self, window: Window) -> str:
        """The field that holds a window's sums over rows."""
        if window not in self.sums:
            self.sums[window] = self.names.fresh(f"sum {window.buffer}")
        return self.sums[window]

    def lengths(self, space: Space) -> list[str]:
        """C text of how many elements each axis of a space has."""
        return [self._length(axis) for axis in space]

    def _length(self, axis: Axis) -> str:
        length = fixed_length(axis, self.program)
        if length is not None:
            return str(length)
        if axis.kind != EDGE:
            return "net->rows"
        m, n = self.program.shapes[axis.owner]
        listed = self.edges.get(axis.owner)
        return f"net->{listed}.start[{m}]" if listed else f"INT64_C({m * n})"

    def is_global(self, buffer: str) -> bool:
        """Is it one number, a field of the struct itself?"""
        return self.program.buffers[buffer].place is Place.GLOBAL

    def width(self, buffer: str) -> int:
        """Columns of a UNIT or NEURON buffer."""
        return self.program.sizes[self.program.buffers[buffer].owner]

    def window(self, buffer: str, part: tuple[int, int] | None) -> Window:
        """The columns of a buffer that a slice selects."""
        first, last = part if part is not None else (0, self.width(buffer))
        return Window(buffer, first, last)

    def fields(self) -> Iterable[Field]:
        """All fields in order."""
        for name, declaration, note in _HEAD:
            yield Field(name, declaration, note)
        yield from self.buffer_fields()
        for window, ident in self.sums.items():
            yield Field(ident, f"real *{ident}", f"sums over rows of {window.buffer}")
        for use in self.lists.values():
            note = f"nonzeros of {use.window.buffer}"
            yield Field(use.name, f"struct list {use.name}", note, LIST_WORDS)
        yield from self.edge_fields()

    def edges_of(self, buffer: str) -> str:
        """The field of the synapses that a buffer holds numbers for; "" of a full matrix."""
        return self.edges.get(self.program.buffers[buffer].owner, "")

    def edge_fields(self) -> Iterable[Field]:
        """Fields of the projections that store only existing synapses."""
        for projection, ident in self.edges.items():
            yield Field(ident, f"struct edges {ident}", projection, len(EDGE_PARTS))

    def buffer_fields(self) -> Iterable[Field]:
        """Fields of the program's buffers, in order."""
        for name, buffer in self.program.buffers.items():
            ident = self.names(name)
            if name in self.rings:
                yield from self._ring_fields(name)
            elif buffer.place is Place.GLOBAL:
                yield Field(ident, f"double {ident}", name)
            else:
                yield Field(ident, f"{self.ctype(name)} *{ident}", f"{name} {self._shape(name)}")

    def _ring_fields(self, name: str) -> Iterable[Field]:
        ident, use = self.names(name), self.rings[name]
        note = f"{name}: {self.program.buffers[name].slots} slots"
        yield Field(ident, f"{self.ctype(name)} *{ident}", note)
        yield Field(use.head, f"int64_t {use.head}", "the newest of them")
        yield Field(use.step, f"int64_t {use.step}", "elements from one to the next")

    def found_late(self, view: str) -> bool:
        """Is a view's slot found where it is read, not after each push: one that moves, and one of
        bits, which are unpacked to a place of the view's own."""
        seen = self.views[view]
        return isinstance(seen.ago, Expr) or self.program.buffers[seen.ring].packed

    def ctype(self, buffer: str) -> str:
        """The type in C of a buffer's numbers: "real" or "double", of bits "uint8_t"."""
        entry = self.program.buffers[buffer]
        if entry.packed:
            return BITS
        return DOUBLE if entry.double or entry.place is Place.GLOBAL else "real"

    def literal(self, value: float, buffer: str) -> str:
        """A constant as it is stored in a buffer."""
        return literal(value, DOUBLE if self.ctype(buffer) == DOUBLE else self.real)

    def _shape(self, name: str) -> str:
        lengths: list[str] = []
        for axis in self.program.buffers[name].space:
            if axis.kind != EDGE:
                length = fixed_length(axis, self.program)
                lengths.append("R" if length is None else str(length))
            elif axis.owner in self.edges:
                lengths.append("edges")
            else:
                lengths += map(str, self.program.shapes[axis.owner])
        return f"({lengths[0]},)" if len(lengths) == 1 else f"({', '.join(lengths)})"
