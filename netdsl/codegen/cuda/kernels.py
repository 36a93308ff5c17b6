"""Operations other than synaptic ones as CUDA, and what is derived from buffers.

Each function writes the kernels of one operation and returns the actions that launch them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from netdsl.codegen.c.elementwise import elementwise
from netdsl.codegen.c.emit import count_of, group_code, shift_code
from netdsl.codegen.cuda.layout import COUNT_BLOCKS, CudaLayout
from netdsl.codegen.cuda.plan import (
    ALL,
    THREADS,
    Action,
    Extent,
    Launch,
    flat_grid,
    listed_grid,
    rows_grid,
    tile_grid,
)
from netdsl.codegen.cuda.writer import KernelWriter, written
from netdsl.codegen.plan.instructions import MakeList, MakeSum
from netdsl.codegen.plan.layout import Window
from netdsl.ir.program import Copy, Elementwise, Fill, GroupReduce, Shift, Transpose
from netdsl.ir.space import OTHER

TRANSPOSE_SIDE = 32  # as in templates/cuda/transpose.cu.j2


def cells(op: Elementwise, writer: KernelWriter) -> tuple[Action, ...]:
    """One population's fused statements."""
    code = elementwise(op, writer.layout)
    lines = [line for level in code.levels for part in vars(level).values() for line in part]
    prepare, code.head = writer.prepared(code.head, "\n".join(map(str, lines)))
    reduced = any(level.accumulators for level in code.levels)
    grid = rows_grid(code.size, spread=not reduced and not code.stored)
    counter = writer.layout.names(writer.layout.program.counter("t"))
    launch = writer.kernel("elementwise", op, grid, code=code, step_counter=counter)
    if not prepare:
        return (Action(launch),)
    return writer.globals(f"before {op.title}", prepare, written(op)), Action(launch)


def transpose(op: Transpose, writer: KernelWriter) -> tuple[Action, ...]:
    """A matrix of synapses, turned."""
    m, n = writer.program.shapes[writer.program.buffers[op.source].owner]
    names = writer.layout.names
    code = {"target": names(op.target), "source": names(op.source), "m": m, "n": n}
    grid = tile_grid(m, n, TRANSPOSE_SIDE, THREADS)
    return (Action(writer.kernel("transpose", op, grid, code=_counted(code, op, writer))),)


def fill(op: Fill, writer: KernelWriter) -> tuple[Action, ...]:
    """One value everywhere."""
    value, ctype = writer.layout.literal(op.value, op.target), writer.layout.ctype(op.target)
    code = {"target": writer.layout.names(op.target), "value": value, "ctype": ctype}
    return (_flat("fill", op, value, code, writer),)


def copy(op: Copy, writer: KernelWriter) -> tuple[Action, ...]:
    """One buffer into another."""
    target, source = writer.layout.names(op.target), writer.layout.names(op.source)
    code = {"target": target, "source": source}
    return (_flat("copy", op, f"net->{source}", code, writer),)


def _flat(
    kind: str, op: Copy | Fill, value: str, code: dict[str, Any], writer: KernelWriter
) -> Action:
    """An operation on all elements of a buffer, or on the one number that it is."""
    if writer.layout.is_global(op.target):
        return writer.globals(f"set {op.title}", [f"net->{code['target']} = {value};"], op.span)
    pairs = OTHER in writer.program.buffers[op.target].space
    grid = flat_grid(*writer.layout.extent(op.target)) if not pairs else flat_grid(ALL, 0)
    return Action(writer.kernel(kind, op, grid, code=_counted(code, op, writer)))


def _counted(
    code: dict[str, Any], op: Copy | Fill | Transpose, writer: KernelWriter
) -> dict[str, Any]:
    return {**code, "count": count_of(op.target, writer.layout)}


def group_reduce(op: GroupReduce, writer: KernelWriter) -> tuple[Action, ...]:
    """A reduction over groups of neurons, one thread for each."""
    code = group_code(op, writer.layout)
    groups = writer.layout.width(op.target) // op.length
    grid = {"threads": THREADS, "x": Extent(0, groups, THREADS)}
    return (Action(writer.kernel("group_reduce", op, grid, code=code)),)


def shift(op: Shift, writer: KernelWriter) -> tuple[Action, ...]:
    """The rows of the batch as the newest slots of a memory, one thread for each neuron."""
    code = shift_code(op, writer.layout)
    grid = {"threads": THREADS, "x": Extent(int(str(code["size"])), 0, THREADS)}
    return (Action(writer.kernel("shift", op, grid, code=code)),)


def row_list(need: MakeList, writer: KernelWriter) -> Launch:
    """The lists of a window's nonzeros, by row or by column."""
    use = writer.layout.wanted[need.window]
    code = {**_window(need.window, writer.layout), "list": use.name, "with_values": use.values}
    if need.columns:
        return writer.kernel("list_columns", need, listed_grid(need.window.width), code=code)
    grid = {"threads": THREADS, "x": Extent(0, 1)}
    return writer.kernel("list_rows", need, grid, code=code)


def row_sum(need: MakeSum, writer: KernelWriter) -> tuple[Action, ...]:
    """A window's sums over rows."""
    need = replace(need, listed=False)
    code = {**_window(need.window, writer.layout), "sum": writer.layout.sum_of(need.window)}
    return (Action(writer.kernel("make_sum", need, listed_grid(need.window.width), code=code)),)


def count(window: Window, writer: KernelWriter) -> Action:
    """How many elements of a window are not zero."""
    code, slot = _window(window, writer.layout), writer.layout.count_slot(window)
    grid = {"threads": THREADS, "x": Extent(COUNT_BLOCKS)}
    return Action(writer.kernel("count", MakeList(window), grid, code=code, slot=slot))


def _window(window: Window, layout: CudaLayout) -> dict[str, Any]:
    return {
        "source": layout.names(window.buffer),
        "stride": layout.width(window.buffer),
        "first": window.first,
        "width": window.width,
    }
