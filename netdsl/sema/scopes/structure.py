"""How many synapses a projection has: `P.pairs` that could be, `P.present` that are alive."""

from __future__ import annotations

from netdsl.diagnostics import Span
from netdsl.ir.expr import Const, Expr, Reduce, Ref, apply
from netdsl.ir.network import Place, Projection, Type
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.units import NONE
from netdsl.sema.scopes.values import Value, number

COUNTS = ("pairs", "present")


def counted(name: str, of: tuple[Projection, ...], context: Context, span: Span) -> Value | None:
    """`pairs` or `present` of some projections together; None where they have no weights."""
    if any(projection.weight is None for projection in of):
        return None
    if name == "pairs":
        return number(sum(pairs(projection, context) for projection in of), span)
    total: Expr | None = None
    for projection in of:
        alive = Reduce("count", "population", present(projection), span)
        total = alive if total is None else apply("add", total, alive, span=span)
    if total is None:
        return None
    return Value(total, NONE, Type.COUNT, Place.GLOBAL, span=span)


def pairs(projection: Projection, context: Context) -> int:
    """Pairs of a sender and a receiver."""
    pre, post = (
        context.populations[name].size if part is None else part[1] - part[0]
        for name, part in (
            (projection.pre, projection.pre_slice),
            (projection.post, projection.post_slice),
        )
    )
    return pre * post


def present(projection: Projection) -> Expr:
    """1 where a synapse is alive: its size is above 0; without a sign, its weight is not 0."""
    stored = Ref(projection.weight or "", "synapse")
    return apply("gt" if projection.sign is not None else "ne", stored, Const(0.0))
