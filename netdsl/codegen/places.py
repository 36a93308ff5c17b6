"""Where an expression of the step program lives: how many numbers it is.

Places form a lattice: GLOBAL below all; ROW and NEURON join to UNIT. Expressions over synapses
read only GLOBAL and SYNAPSE values; `Index(side="pre"|"post")` is a synapse's own.
Printers use the place to evaluate a subexpression as seldom as possible: once (GLOBAL), once per
row, once per neuron, or for every (row, neuron) pair.
"""

from __future__ import annotations

from collections.abc import Mapping

from netdsl.ir.expr import Expr, Index, Load, Local, children
from netdsl.ir.network import Place
from netdsl.ir.program import Program

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
    """Array shape of a buffer with `rows` samples: (), (rows,), (n,), (rows, n) or (m, n)."""
    entry = program.buffers[buffer]
    if entry.place is Place.GLOBAL:
        return ()
    if entry.place is Place.ROW:
        return (rows,)
    if entry.place is Place.SYNAPSE:
        return program.shapes[entry.owner]
    size = program.sizes[entry.owner]
    return (size,) if entry.place is Place.NEURON else (rows, size)
