"""`Each`, `Guarded` and `Reduction` as CUDA: a thread for each element, or for each total."""

from __future__ import annotations

from netdsl.codegen.c.loops import LoopCode, each, reduction
from netdsl.codegen.cuda.plan import STRIDE_LIMIT, THREADS, Action, Extent
from netdsl.codegen.cuda.writer import KernelWriter, written
from netdsl.ir.program import Each, Guarded, Reduction
from netdsl.ir.space import OTHER, ROW, Space

# Blocks that stride over rows times rows, whose number a grid cannot say.
_ALL = {"threads": THREADS, "x": Extent(STRIDE_LIMIT)}


def everywhere(op: Each | Guarded, writer: KernelWriter) -> tuple[Action, ...]:
    """Statements over a space."""
    code = each(op, writer.layout)
    if not op.space:
        return (writer.globals(op.title, code.head, written(op)),)
    return _launched("each", op, op.space, code, writer)


def reduce(op: Reduction, writer: KernelWriter) -> tuple[Action, ...]:
    """A reduction; into a single number by one thread."""
    code = reduction(op, writer.layout, in_lists=True)
    return _launched("reduction", op, writer.program.buffers[op.target].space, code, writer)


def _launched(
    kind: str, op: Each | Guarded | Reduction, space: Space, code: LoopCode, writer: KernelWriter
) -> tuple[Action, ...]:
    lines = "\n".join([*code.body, code.guard])
    prepare, code.head = writer.prepared(code.head, lines)
    fixed, per_row = writer.layout.counts(space)
    grid = {"threads": THREADS, "x": Extent(fixed, per_row, THREADS, STRIDE_LIMIT)}
    launch = writer.kernel(kind, op, _ALL if {ROW, OTHER} <= set(space) else grid, code=code)
    if not prepare:
        return (Action(launch),)
    return writer.globals(f"before {op.title}", prepare, written(op)), Action(launch)
