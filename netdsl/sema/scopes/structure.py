"""How many synapses a projection has: `P.pairs` that could be, `P.present` that are alive."""

from __future__ import annotations

import math

from netdsl.diagnostics import Span
from netdsl.ir.algebra.simplify import simplify
from netdsl.ir.expr import Apply, Const, Expr, Reduce, Ref, apply, transform
from netdsl.ir.network import Draw, Place, Projection, Type
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


def certain(projection: Projection, context: Context) -> int:
    """How many synapses are alive at the start, whatever is drawn: 0 where that is not known."""
    stored = projection.variables.get(projection.weight or "")
    if stored is None or not _begins_alive(stored.init, projection.sign is not None):
        return 0
    wiring, all_pairs = projection.connectivity, pairs(projection, context)
    if not wiring.self_connections and projection.pre == projection.post:
        all_pairs -= context.populations[projection.pre].size
    if wiring.kind == "sparse" and wiring.draw == "exact" and wiring.probability is not None:
        return max(0, math.floor(wiring.probability * all_pairs))
    return max(0, all_pairs) if wiring.kind == "dense" and wiring.windows is None else 0


def spares(prune: Expr | None, projection: Projection) -> bool:
    """Is it known that a condition holds for no synapse that is alive at the start?"""
    if prune is None:
        return True
    stored = Ref(projection.weight or "", "synapse")
    init = projection.variables[stored.path].init
    if isinstance(init, Const):
        there = transform(prune, lambda node: init if node == stored else None)
        return simplify(there) in (Const(0), Const(0.0), Const(False))
    never = ("le", "lt", "eq") if projection.sign is not None else ("eq",)
    return any(prune == Apply(name, (stored, Const(0.0))) for name in never)


def _begins_alive(init: Expr | Draw | None, signed: bool) -> bool:
    if isinstance(init, Const):
        return init.value > 0 if signed else init.value != 0
    if not isinstance(init, Draw) or init.made or init.gram or init.distribution != "uniform":
        return isinstance(init, Draw) and init.distribution == "normal" and not signed
    return not signed or (isinstance(init.args[0], Const) and init.args[0].value >= 0)
