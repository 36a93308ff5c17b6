"""Which buffers an operation reads and writes."""

from __future__ import annotations

from netdsl.ir.expr import Expr, loads
from netdsl.ir.program import (
    Bind,
    Copy,
    DrawStore,
    Elementwise,
    Fill,
    GroupReduce,
    Op,
    Propagate,
    RowReduce,
    Statement,
    Store,
    SynapseUpdate,
    Transpose,
    WindowSum,
)

_WHOLE = Copy | Transpose | Fill | WindowSum | GroupReduce  # overwrite all of their target


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
    elif isinstance(op, WindowSum):
        found |= {op.pre, op.post}
    elif isinstance(op, Copy | Transpose | GroupReduce):
        found.add(op.source)
    return found


def writes(op: Op) -> set[str]:
    """Buffers that an operation changes."""
    if isinstance(op, Propagate | _WHOLE):
        return {op.target}
    return {s.buffer for s in op_statements(op) if not isinstance(s, Bind)}


def stores(op: Op) -> tuple[Store, ...]:
    """The plain stores of an operation."""
    return tuple(s for s in op_statements(op) if isinstance(s, Store))


def first_access(buffer: str, op: Op, owner: str) -> str | None:
    """What an operation does first with a buffer of population or projection `owner`: "reads",
    "overwrites" all of it, or None."""
    if isinstance(op, Elementwise):
        return _first_in_cells(buffer, op, owner)
    if isinstance(op, Propagate):
        part = op.pre_slice if op.transposed else op.post_slice
        whole = op.target == buffer and not op.accumulate and part is None
    else:
        whole = isinstance(op, _WHOLE) and op.target == buffer
    if buffer in reads(op):
        return "reads"
    if buffer not in writes(op):
        return None
    return "overwrites" if whole else "reads"


def _first_in_cells(buffer: str, op: Elementwise, owner: str) -> str | None:
    for statement in op.statements:
        if any(buffer in loads(value) for value in expressions(statement)):
            return "reads"
        if not isinstance(statement, Bind | RowReduce) and statement.buffer == buffer:
            return "overwrites" if owner == op.population else "reads"
    return None
