"""Where an expression of the step program lives: how many numbers it is.

Places form a lattice: GLOBAL below all; ROW and NEURON join to UNIT. Expressions over synapses
read only GLOBAL and SYNAPSE values; `Index(side="pre"|"post")` is a synapse's own.
Printers use the place to evaluate a subexpression as seldom as possible: once (GLOBAL), once per
row, once per neuron, or for every (row, neuron) pair.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from netdsl.ir.expr import Expr, Index, Load, Local, children
from netdsl.ir.network import Place
from netdsl.ir.program import Buffer, Edges, Program

_PER_CELL = frozenset({Place.ROW, Place.NEURON, Place.UNIT})


def join(a: Place, b: Place) -> Place:
    """The smallest place that holds values of both; ValueError for a synapse and a cell value."""
    if a is b or b is Place.GLOBAL:
        return a
    if a is Place.GLOBAL:
        return b
    if a in _PER_CELL and b in _PER_CELL:
        return Place.UNIT
    raise ValueError(f"a {a.value} value and a {b.value} value have no common place")


def place_of(expr: Expr, program: Program, locals: Mapping[str, Place]) -> Place:
    """The place of `expr`; `locals` gives the places of bound names (scalars: GLOBAL).

    Raises KeyError for an unknown buffer or local.
    """
    if isinstance(expr, Load):
        return program.buffers[expr.buffer].place
    if isinstance(expr, Local):
        return locals[expr.name]
    if isinstance(expr, Index):
        return Place.NEURON if expr.side == "own" else Place.SYNAPSE
    place = Place.GLOBAL
    for child in children(expr):
        place = join(place, place_of(child, program, locals))
    return place


def shape_of(buffer: str, program: Program, rows: int) -> tuple[int, ...]:
    """Array shape of a buffer with `rows` samples: (), (rows,), (n,), (rows, n) or (m, n); a ring
    has its slots before that, the newest value first.

    This is what the host reads and writes; `stored_shape` is what a backend holds.
    """
    slots = program.buffers[buffer].slots
    one = slot_shape(buffer, program, rows)
    return one if slots == 1 else (slots, *one)


def slot_shape(buffer: str, program: Program, rows: int) -> tuple[int, ...]:
    """Array shape of a buffer without its slots."""
    entry = program.buffers[buffer]
    if entry.place is Place.GLOBAL:
        return ()
    if entry.place is Place.ROW:
        return (rows,)
    if entry.place is Place.SYNAPSE:
        return program.shapes[entry.owner]
    size = program.sizes[entry.owner]
    return (size,) if entry.place is Place.NEURON else (rows, size)


def edges_of(buffer: str, program: Program) -> Edges | None:
    """The layout of a buffer that holds a number for each existing synapse."""
    entry = program.buffers[buffer]
    layout = program.layouts.get(entry.owner) if entry.place is Place.SYNAPSE else None
    return layout if isinstance(layout, Edges) else None


def expected_edges(program: Program) -> dict[str, int]:
    """About how many synapses the projections have that store only those that exist."""
    return {
        name: round(layout.density * math.prod(program.shapes[name]))
        for name, layout in program.layouts.items()
        if isinstance(layout, Edges)
    }


def stored_shape(
    buffer: str, program: Program, rows: int, edges: Mapping[str, int]
) -> tuple[int, ...]:
    """As `shape_of`, but (edges,) where only existing synapses are stored: `edges` counts them."""
    if edges_of(buffer, program) is None:
        return shape_of(buffer, program, rows)
    return (edges[program.buffers[buffer].owner],)


def of_rows(buffer: Buffer, rows: slice) -> tuple[slice, ...]:
    """The index of some samples in a per-sample buffer as the host sees it."""
    return (rows,) if buffer.slots == 1 else (slice(None), rows)
