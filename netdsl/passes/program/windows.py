"""Shared kernels: their sums over positions are taken out of the pass over the kernel.

A kernel is small and its sums run over many positions: unlike those of a full matrix they fit in
cache as a whole, and no tile of the kernel can be finished before all positions are seen.
"""

from __future__ import annotations

from dataclasses import replace

from netdsl.ir.algebra.factor import times
from netdsl.ir.algebra.simplify import simplify
from netdsl.ir.expr import Apply, Const, Expr, Load
from netdsl.ir.network import Place
from netdsl.ir.program import Bind, Fill, Op, Product, Program, Sum, SynapseUpdate, WindowSum
from netdsl.passes.program.rewrite import Buffers, by_kind


def windows(program: Program) -> Program:
    """Form the batch sums of a shared kernel before its pass, which then reads plain buffers."""
    buffers = Buffers(program.buffers)

    def visit(op: SynapseUpdate) -> tuple[Op, ...]:
        if not op.sums or op.projection not in program.windows:
            return (op,)
        maker = _Sums(buffers, program.ends[op.projection], op)
        binds = [Bind(total.name, maker.value(total), op.span) for total in op.sums]
        return (*maker.ops, replace(op, sums=(), statements=(*binds, *op.statements)))

    changed = by_kind(program, SynapseUpdate, visit)
    return replace(changed, buffers=buffers.known)


class _Sums:
    def __init__(self, buffers: Buffers, ends: tuple[str, str], op: SynapseUpdate) -> None:
        self.buffers, self.ends = buffers, ends
        self.projection, self.span = op.projection, op.span
        self.ops: list[Op] = []
        self._known: dict[tuple[str, str, int, int, bool], str] = {}

    def value(self, total: Sum) -> Expr:
        """A sum over the buffers of its products."""
        value: Expr = Const(0.0)
        for product in total.products:
            pre = product.pre or self._ones(self.ends[0])
            post = product.post or self._ones(self.ends[1])
            term = times(product.coefficient, Load(self._sum(product, pre, post)))
            assert term is not None
            value = Apply("add", (value, term))
        return simplify(value)

    def _sum(self, product: Product, pre: str, post: str) -> str:
        slots = (product.pre_ago, product.post_ago, product.newest)
        if (pre, post, *slots) not in self._known:
            number = len(self._known) + 1
            name = self.buffers.need(
                self.projection,
                Place.SYNAPSE,
                self.projection,
                "scratch",
                "sum over positions",
                tag="summed" + (str(number) if number > 1 else ""),
            )
            self._known[pre, post, *slots] = name
            binary = product.binary_pre and not product.newest
            ends = (self.projection, pre, post, name, binary)
            self.ops.append(WindowSum(*ends, *slots, self.span))
        return self._known[pre, post, *slots]

    def _ones(self, population: str) -> str:
        name = self.buffers.need(population, Place.UNIT, population, "scratch", "ones", tag="ones")
        if Fill(name, 1.0) not in self.ops:
            self.ops.append(Fill(name, 1.0))
        return name
