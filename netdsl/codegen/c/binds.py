"""Bound names of a synapse update, made fit for one scope of C."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from netdsl.ir.expr import Expr, Local, transform
from netdsl.ir.places import varies
from netdsl.ir.program import Bind, Each, Guarded, Program, Store, SynapseUpdate

Looped = TypeVar("Looped", SynapseUpdate, Each, Guarded, Each | Guarded)


def settle_binds(op: Looped, program: Program) -> Looped:
    """The same operation with every name bound once, and values of scalars among its `scalars`."""
    known = {bind.name for bind in op.scalars}
    many = {total.name for total in getattr(op, "sums", ())}
    current: dict[str, str] = {}
    scalars: list[Bind] = list(op.scalars)
    statements: list[Bind | Store] = []
    for statement in op.statements:
        value = renamed(statement.value, current)
        if statement.stores:
            statements.append(replace(statement, value=value))
            continue
        name, each = statement.binds, varies(value, program, many)
        if name in known | many:
            name = current[statement.binds] = f"{statement.binds}#{len(known | many)}"
        (many if each else known).add(name)
        bind = Bind(name, value, statement.span)
        (statements if each else scalars).append(bind)
    return replace(op, scalars=tuple(scalars), statements=tuple(statements))


def renamed(value: Expr, current: dict[str, str]) -> Expr:
    """The expression with the present names of what it reads."""

    def visit(node: Expr) -> Expr | None:
        if isinstance(node, Local) and node.name in current:
            return Local(current[node.name], node.span)
        return None

    return transform(value, visit)
