"""What the host reads of a program: readouts, metrics, decisions, recorders and observed values."""

from __future__ import annotations

from netdsl.ir.expr import Expr, refs
from netdsl.ir.network import Kind
from netdsl.ir.program import Key, Op, Routine
from netdsl.passes.lower.context import STORED, Context
from netdsl.passes.lower.readout import SETTLE, host_values, settled_reads
from netdsl.passes.lower.resolve import variable_buffer
from netdsl.passes.lower.settle import Settle


def settle_routine(context: Context) -> Routine | None:
    """The routine that settles what the host reads bare; None where it reads nothing so."""
    for value in host_values(context.network):
        _need_all(context, value)
    paths = {ref.path for ref in settled_reads(context.network)}
    if not paths:
        return None
    settle = Settle(context)
    ops: list[Op] = []
    for path in sorted(paths):
        settle.ops = []
        if context.kind(path) is Kind.INPUT:
            held = settle.input(path)
            if held == path:  # nothing feeds it, or a clamp holds it
                settle.snapshot(path, None)
        else:
            settle.snapshot(path, None)
        ops += settle.ops
    return Routine(SETTLE, "set", tuple(ops))


def _need_all(context: Context, expr: Expr) -> None:
    for ref in refs(expr):
        variable = context.variable(ref.path)
        if variable.kind in STORED:
            variable_buffer(context, variable)


def read_by_host(context: Context) -> set[Key]:
    """Values that the host reads, whoever else does."""
    host = set(context.observed)
    for value in host_values(context.network):
        host.update(Key(ref.path) for ref in refs(value))
    host.update(Key(recorder.variable) for recorder in context.network.recorders)
    host.update(Key(ref.path, "settled") for ref in settled_reads(context.network))
    return host
