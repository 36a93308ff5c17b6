"""Sums over rows of values at synapses become reductions that stand before the learning pass."""

from __future__ import annotations

from dataclasses import replace

from netdsl.ir.expr import Expr, Load, Local
from netdsl.ir.network import Place
from netdsl.ir.program import Bind, Op, Program, Reduction, Sum, SynapseUpdate
from netdsl.ir.space import ROW
from netdsl.passes.lower.context import add
from netdsl.passes.program.rewrite import Buffers, by_kind


def row_sums(program: Program) -> Program:
    """Form every row sum in a buffer of the projection, which the pass then reads.

    What a sum reads is not what the pass itself changes before its scalars: those stores go first.
    """
    buffers = Buffers(program.buffers)

    def visit(op: SynapseUpdate) -> tuple[Op, ...]:
        if not any(total.rows for total in op.sums):
            return (op,)
        before = replace(op, sums=(), statements=(), scalars=())
        reductions: list[Op] = []
        sums, binds = [], []
        for total in op.sums:
            value: Expr | None = None
            for term in total.rows:
                name = _buffer(buffers, op, len(reductions))
                reductions.append(Reduction(name, "sum", term.value, (ROW,), span=op.span))
                value = Load(name) if value is None else add(value, Load(name))
            if value is None:
                sums.append(total)
                continue
            products = f"{total.name}#products"
            sums += [Sum(products, total.products)] if total.products else []
            whole = add(Local(products), value) if total.products else value
            binds.append(Bind(total.name, whole, op.span))
        made = replace(op, before=(), sums=tuple(sums), statements=(*binds, *op.statements))
        return (*([before] if op.before else []), *reductions, made)

    changed = by_kind(program, SynapseUpdate, visit)
    return replace(changed, buffers=buffers.known)


def _buffer(buffers: Buffers, op: SynapseUpdate, number: int) -> str:
    hint = f"{op.projection}.over_rows" + (str(number + 1) if number else "")
    return buffers.need(hint, Place.SYNAPSE, op.projection, "scratch", "sum over rows")
