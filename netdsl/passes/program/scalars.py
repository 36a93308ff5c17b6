"""Scalar work is taken out of loops."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from netdsl.ir.algebra.simplify import simplify
from netdsl.ir.expr import Apply, Const, Expr, Index, Local, Reduce, loads, transform, walk
from netdsl.ir.network import Place
from netdsl.ir.program import Bind, Buffer, Elementwise, Op, Product, Program, SynapseUpdate
from netdsl.ir.roles import mapped
from netdsl.passes.program.rewrite import by_op


def scalars(program: Program) -> Program:
    """Name the scalar subexpressions of operations, to be evaluated once before their loops."""
    return by_op(program, lambda op: (_with_scalars(program.buffers, op),))


def is_scalar(expr: Expr, buffers: Mapping[str, Buffer]) -> bool:
    """Does an expression read only literals and GLOBAL buffers?"""
    if any(isinstance(node, Index | Local | Reduce) for node in walk(expr)):
        return False
    return all(buffers[name].place is Place.GLOBAL for name in loads(expr))


class _Scalars:
    """Collects scalar subexpressions of one operation under names."""

    def __init__(self, buffers: Mapping[str, Buffer]) -> None:
        self.buffers = buffers
        self.names: dict[Expr, str] = {}

    def visit(self, node: Expr) -> Expr | None:
        if isinstance(node, Apply) and is_scalar(node, self.buffers):
            name = self.names.setdefault(node, f"scalar{len(self.names)}")
            return Local(name, node.span)
        return None

    def take(self, expr: Expr) -> Expr:
        return transform(expr, self.visit)

    def take_per_synapse(self, expr: Expr) -> Expr:
        """Also turn divisions by a scalar into products with its reciprocal.

        A division costs as much as all other arithmetic of an optimiser; the result moves by at
        most one unit in the last place.
        """
        return self.take(transform(expr, self._reciprocal))

    def _reciprocal(self, node: Expr) -> Expr | None:
        if isinstance(node, Apply) and node.function == "div":
            value, divisor = node.args
            if is_scalar(divisor, self.buffers) and not is_scalar(value, self.buffers):
                inverse = simplify(Apply("div", (Const(1.0), divisor), node.span))
                rest = transform(value, self._reciprocal)
                return Apply("mul", (rest, inverse), node.span)
        return None

    def binds(self) -> tuple[Bind, ...]:
        return tuple(Bind(name, expr) for expr, name in self.names.items())


def _with_scalars(buffers: Mapping[str, Buffer], op: Op) -> Op:
    taken = _TAKEN.get(type(op))
    return op if taken is None else taken(op, _Scalars(buffers))


def _of_cells(op: Elementwise, scalars: _Scalars) -> Op:
    statements = tuple(mapped(s, scalars.take) for s in op.statements)
    return replace(op, statements=statements, scalars=scalars.binds())


def _of_synapses(op: SynapseUpdate, scalars: _Scalars) -> Op:
    sums = tuple(
        replace(s, products=tuple(_product(p, scalars) for p in s.products)) for s in op.sums
    )
    inner = tuple(replace(s, value=scalars.take_per_synapse(s.value)) for s in op.statements)
    return replace(op, sums=sums, statements=inner, scalars=scalars.binds())


_TAKEN: dict[type[Op], Callable[[Any, _Scalars], Op]] = {
    Elementwise: _of_cells,
    SynapseUpdate: _of_synapses,
}


def _product(product: Product, scalars: _Scalars) -> Product:
    if product.coefficient is None:
        return product
    return replace(product, coefficient=scalars.take(product.coefficient))
