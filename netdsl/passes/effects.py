"""Which buffers an operation reads and writes."""

from __future__ import annotations

from netdsl.ir.expr import Expr, loads
from netdsl.ir.program import (
    Bind,
    Copy,
    DrawStore,
    Elementwise,
    Fill,
    Op,
    Propagate,
    Statement,
    Store,
    SynapseUpdate,
    Transpose,
)


def expressions(statement: Statement) -> tuple[Expr, ...]:
    """The expressions of a statement."""
    return statement.args if isinstance(statement, DrawStore) else (statement.value,)


def op_statements(op: Op) -> tuple[Statement, ...]:
    """All statements of an operation, scalars and counts included."""
    if isinstance(op, Elementwise):
        return (*op.scalars, *op.statements)
    if isinstance(op, SynapseUpdate):
        return (*op.before, *op.scalars, *op.statements)
    return ()


def reads(op: Op) -> set[str]:
    """Buffers whose present value an operation needs."""
    found: set[str] = set()
    for statement in op_statements(op):
        for expr in expressions(statement):
            found.update(loads(expr))
    if isinstance(op, Propagate):
        found |= {op.weight, op.source}
        if op.accumulate:
            found.add(op.target)
        if op.scale is not None:
            found.update(loads(op.scale))
    elif isinstance(op, SynapseUpdate):
        for total in op.sums:
            for product in total.products:
                found.update(name for name in (product.pre, product.post) if name is not None)
                if product.coefficient is not None:
                    found.update(loads(product.coefficient))
    elif isinstance(op, Copy | Transpose):
        found.add(op.source)
    return found


def writes(op: Op) -> set[str]:
    """Buffers that an operation changes."""
    if isinstance(op, Propagate | Copy | Fill | Transpose):
        return {op.target}
    return {s.buffer for s in op_statements(op) if not isinstance(s, Bind)}


def stores(op: Op) -> tuple[Store, ...]:
    """The plain stores of an operation."""
    return tuple(s for s in op_statements(op) if isinstance(s, Store))
