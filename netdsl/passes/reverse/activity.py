"""Which buffers depend on the weights that a loss is differentiated by."""

from __future__ import annotations

from collections.abc import Container, Iterable

from netdsl.ir.algebra.derivative import derivative
from netdsl.ir.algebra.simplify import simplify
from netdsl.ir.expr import Apply, Const, Expr, Load, Local, loads, transform, walk
from netdsl.ir.program import (
    Elementwise,
    Op,
    Propagate,
    SynapseUpdate,
)
from netdsl.ir.roles import of_kind


def delivered(
    ops: Iterable[Op], weights: Iterable[str], signed: Container[str] = ()
) -> dict[str, tuple[str, Expr | None]]:
    """Buffers that are delivered through, with the weight behind each and their slope along it.

    `signed` weights are stored as magnitudes: a synapse that is absent, as its magnitude is not
    above 0, has the slope that it would have if it were present.
    """
    found: dict[str, tuple[str, Expr | None]] = {weight: (weight, None) for weight in weights}
    for op in of_kind(SynapseUpdate, ops):
        if op.sums:
            continue
        for statement in op.statements:
            for weight in loads(statement.value):
                if statement.stores and found.get(weight) == (weight, None):
                    value = statement.value
                    if weight in signed:
                        value = _as_present(value, weight)
                    slope = simplify(derivative(value, weight))
                    if slope != Const(0.0):
                        found[statement.stores] = (weight, slope)
    return found


def _as_present(value: Expr, magnitude: str) -> Expr:
    strength = Apply("max", (Load(magnitude), Const(0.0)))
    return transform(value, lambda node: Load(magnitude) if node == strength else None)


def active(ops: Iterable[Op], weights: Iterable[str]) -> set[str]:
    """Buffers whose value depends on one of `weights`, at whatever step."""
    ops, through = tuple(ops), set(weights)
    found: set[str] = set()
    while True:
        before = len(found)
        for op in ops:
            if isinstance(op, Elementwise):
                _cells(op, found)
            elif isinstance(op, Propagate):
                if op.weight in through or {op.weight, op.source} & found:
                    found.add(op.target)
            elif op.reads & found:
                found |= op.writes
        if len(found) == before:
            return found


def _cells(op: Elementwise, found: set[str]) -> None:
    names: set[str] = set()
    for statement in op.statements:
        if statement.draws:
            continue
        reads = any(
            node.buffer in found if isinstance(node, Load) else node.name in names
            for value in statement.values
            for node in walk(value)
            if isinstance(node, Load | Local)
        )
        if reads:
            (names if statement.binds else found).add(statement.binds or statement.stores)
