"""Shared kernels: their sums over positions, taken out of the pass over the kernel."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from netdsl.ir.expr import Apply, Const, Expr, Load
from netdsl.ir.network import Network, Place, Projection
from netdsl.ir.program import Bind, Fill, Op, Propagate, Sum, SynapseUpdate, WindowSum
from netdsl.ir.windows import Windows
from netdsl.passes.context import Context
from netdsl.passes.factor import times
from netdsl.passes.simplify import simplify


def shared_kernels(network: Network) -> Mapping[str, Windows]:
    """The windows of every projection that has some; a transpose has its owner's."""
    found = {name: p.connectivity.windows for name, p in network.projections.items()}
    return {name: windows for name, windows in found.items() if windows is not None}


def ones_of(context: Context, projection: Projection) -> str:
    """A kernel of ones: what a projection without weight delivers through."""
    return context.need(
        f"{projection.name}.ones",
        Place.SYNAPSE,
        projection.name,
        "mask",
        "every synapse of the window counts 1",
        init=Const(1.0),
    )


def window_notes(network: Network, ops: Iterable[Op]) -> tuple[str, ...]:
    """How the products with shared kernels among some operations are done."""
    used = [op.projection for op in ops if isinstance(op, Propagate | WindowSum)]
    known = shared_kernels(network)
    return tuple(_note(name, known[name]) for name in dict.fromkeys(used) if name in known)


def _note(name: str, windows: Windows) -> str:
    taps, kernels = windows.shape
    forms = {
        "patches": f"patches of {taps} taps times {kernels} kernels",
        "channels": f"{taps} taps of each of {kernels} channels",
        "still": f"one product with {taps} x {kernels} weights for all",
    }
    return f"{name}: {forms[windows.form]}, {windows.positions} positions"


def sums_first(context: Context, op: Op) -> tuple[Op, ...]:
    """Form the batch sums of a shared kernel before its pass, which then reads plain buffers.

    A kernel is small and its sums run over many positions: unlike those of a full matrix they fit
    in cache as a whole, and no tile of the kernel can be finished before all positions are seen.
    """
    if not isinstance(op, SynapseUpdate) or not op.sums:
        return (op,)
    projection = context.network.projections[op.projection]
    if projection.connectivity.windows is None:
        return (op,)
    maker = _Sums(context, projection, op)
    binds = [Bind(total.name, maker.value(total), op.span) for total in op.sums]
    return (*maker.ops, replace(op, sums=(), statements=(*binds, *op.statements)))


class _Sums:
    def __init__(self, context: Context, projection: Projection, op: SynapseUpdate) -> None:
        self.context, self.projection, self.span = context, projection, op.span
        self.ops: list[Op] = []
        self._known: dict[tuple[str, str], str] = {}

    def value(self, total: Sum) -> Expr:
        """A sum over the buffers of its products."""
        value: Expr = Const(0.0)
        for product in total.products:
            pre = product.pre or self._ones(self.projection.pre)
            post = product.post or self._ones(self.projection.post)
            term = times(product.coefficient, Load(self._sum(pre, post, product.binary_pre)))
            assert term is not None
            value = Apply("add", (value, term))
        return simplify(value)

    def _sum(self, pre: str, post: str, binary: bool) -> str:
        if (pre, post) not in self._known:
            number = len(self._known) + 1
            name = self.context.need(
                f"{self.projection.name}.summed" + (str(number) if number > 1 else ""),
                Place.SYNAPSE,
                self.projection.name,
                "scratch",
                "sum over positions",
            )
            self._known[pre, post] = name
            self.ops.append(WindowSum(self.projection.name, pre, post, name, binary, self.span))
        return self._known[pre, post]

    def _ones(self, population: str) -> str:
        name = self.context.need(f"{population}@ones", Place.UNIT, population, "scratch", "ones")
        if Fill(name, 1.0) not in self.ops:
            self.ops.append(Fill(name, 1.0))
        return name
