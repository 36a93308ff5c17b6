"""What each operation becomes in CUDA: the function that writes its kernels.

`EMITTERS` has a line for each kind of instruction; a new operation is a line here and a template.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netdsl.codegen.cuda.edges import deliver_edges, learn_edges, turn
from netdsl.codegen.cuda.kernels import cells, copy, fill, group_reduce, row_sum, shift, transpose
from netdsl.codegen.cuda.loops import everywhere, reduce
from netdsl.codegen.cuda.plan import Action
from netdsl.codegen.cuda.rings import aimed, pushed
from netdsl.codegen.cuda.synapses import UpdateActions, deliver, learn
from netdsl.codegen.cuda.windows import deliver_windows, sum_windows
from netdsl.codegen.cuda.writer import KernelWriter
from netdsl.codegen.plan.instructions import Aim, Instruction, MakeSum, MakeTurned, Pushed
from netdsl.ir.program import (
    Copy,
    Each,
    Elementwise,
    Fill,
    GroupReduce,
    Guarded,
    Propagate,
    Reduction,
    Shift,
    SynapseUpdate,
    Transpose,
    WindowSum,
)

Emitter = Callable[[Any, KernelWriter], tuple[Action, ...]]


def emit(op: Instruction, writer: KernelWriter) -> tuple[Action, ...]:
    """The actions of an instruction that is no learning pass.

    Raises KeyError for a kind that the backend does not know.
    """
    return EMITTERS[type(op)](op, writer)


def update(op: SynapseUpdate, writer: KernelWriter) -> UpdateActions:
    """The actions of a learning pass, and what is prepared for it."""
    listed = op.projection in writer.layout.edges
    return (learn_edges if listed else learn)(op, writer)


def _propagate(op: Propagate, writer: KernelWriter) -> tuple[Action, ...]:
    if op.projection in writer.program.windows:
        return deliver_windows(op, writer)
    return (deliver_edges if writer.layout.edges_of(op.weight) else deliver)(op, writer)


EMITTERS: dict[type, Emitter] = {
    Elementwise: cells,
    Propagate: _propagate,
    WindowSum: sum_windows,
    GroupReduce: group_reduce,
    Copy: copy,
    Fill: fill,
    Transpose: transpose,
    Each: everywhere,
    Guarded: everywhere,
    Reduction: reduce,
    Pushed: pushed,
    Shift: shift,
    Aim: aimed,
    MakeSum: row_sum,
    MakeTurned: turn,
}
