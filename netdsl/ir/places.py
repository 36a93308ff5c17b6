"""Where an expression of the step program lives: how many numbers it is.

Places are spaces without their owners, and join as those do (`netdsl.ir.space`).
Printers use the place to evaluate a subexpression as seldom as possible: once (GLOBAL), once per
row, once per neuron, or for every (row, neuron) pair.
"""

from __future__ import annotations

import math
from collections.abc import Container, Mapping

from netdsl.ir.expr import Expr, Index, Load, Local, children, walk
from netdsl.ir.network import Place
from netdsl.ir.program import Buffer, Edges, Program
from netdsl.ir.space import EDGE, NEURON, Axis, joined


def place_of(expr: Expr, program: Program, locals: Mapping[str, Place]) -> Place:
    """The place of `expr`; `locals` gives the places of bound names (scalars: GLOBAL).

    Raises KeyError for an unknown buffer or local.
    """
    if isinstance(expr, Load):
        place = program.buffers[expr.buffer].place
        return place if expr.side == "own" else joined((place, Place.SYNAPSE))
    if isinstance(expr, Local):
        return locals[expr.name]
    if isinstance(expr, Index):
        return Place.NEURON if expr.side == "own" else Place.SYNAPSE
    return joined(place_of(child, program, locals) for child in children(expr))


def varies(expr: Expr, program: Program, bound: Container[str]) -> bool:
    """Has it a number for each element of some loops, not one? `bound`: names of such values."""
    return any(
        isinstance(node, Index)
        or (isinstance(node, Load) and bool(program.buffers[node.buffer].space))
        or (isinstance(node, Local) and node.name in bound)
        for node in walk(expr)
    )


def shape_of(buffer: str, program: Program, rows: int) -> tuple[int, ...]:
    """Array shape of a buffer with `rows` samples: an extent for each axis of its space, two
    for synapses: (), (rows,), (n,), (rows, n), (m, n), (rows, rows) or (rows, m, n), a memory's
    slots in place of rows; a ring has its slots before that, the newest value first.

    This is what the host reads and writes; `stored_shape` is what a backend holds.
    """
    slots = program.buffers[buffer].slots
    one = slot_shape(buffer, program, rows)
    return one if slots == 1 else (slots, *one)


def slot_shape(buffer: str, program: Program, rows: int) -> tuple[int, ...]:
    """Array shape of a buffer without its slots."""
    entry = program.buffers[buffer]
    shape: tuple[int, ...] = ()
    for axis in entry.space:
        if axis.kind == EDGE:
            shape += program.shapes[axis.owner]
        else:
            length = fixed_length(axis, program)
            shape += (rows if length is None else length,)
    return shape


def fixed_length(axis: Axis, program: Program) -> int | None:
    """How many neurons or slots an axis has; None of rows of the batch, and of synapses."""
    if axis.kind == NEURON:
        return program.sizes[axis.owner]
    return program.memories[axis.owner] if axis.owner and axis.kind != EDGE else None


def packed_bytes(width: int) -> int:
    """Bytes of a row of as many bits, an even number."""
    return -(-width // 16) * 2


def edges_of(buffer: str, program: Program) -> Edges | None:
    """The layout of a buffer that holds a number for each existing synapse."""
    entry = program.buffers[buffer]
    listed = any(axis.kind == EDGE for axis in entry.space)
    layout = program.layouts.get(entry.owner) if listed else None
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
    """As `shape_of`, but (…, edges) where only existing synapses are stored; `edges`: how many."""
    whole = shape_of(buffer, program, rows)
    if edges_of(buffer, program) is None:
        return whole
    return (*whole[:-2], edges[program.buffers[buffer].owner])


def of_rows(buffer: Buffer, rows: slice) -> tuple[slice, ...]:
    """The index of some samples in a per-sample buffer as the host sees it."""
    if buffer.place is Place.PAIR:
        return (rows, rows)
    return (rows,) if buffer.slots == 1 else (slice(None), rows)
