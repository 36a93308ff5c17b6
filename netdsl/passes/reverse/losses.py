"""The loss of a sample: what a loss sums or averages over the batch, with its reductions.

A loss may read means over the batch in between, as in `sum((mean(a over batch) - 1)^2)`: such a
mean is a number that all samples share, and its slope by what one of them adds is that sample's.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from netdsl.ir.expr import Apply, Const, Custom, Expr, Load, Reduce, refs, transform
from netdsl.ir.network import Place
from netdsl.ir.program import Elementwise, Op, Reduction, RowReduce
from netdsl.ir.space import ROW
from netdsl.passes.errors import LoweringError
from netdsl.passes.lower.context import Context
from netdsl.passes.lower.resolve import Resolver
from netdsl.passes.lower.settle import owner_of

SHARED = "shared"  # the axis of means over the batch within what all samples share


def together(value: Expr) -> Expr:
    """`mean(a over batch) + 2 * mean(b over batch) / 3` as one mean of `a + 2 * b / 3`. What is
    made of means over the batch alone is the same for each sample, and may be added to it."""
    if _shared(value):
        return Reduce("mean", "batch", _marked(value))
    if not isinstance(value, Apply):
        return value
    args = tuple(together(arg) for arg in value.args)
    reduced = [arg for arg in args if isinstance(arg, Reduce) and arg.axis == "batch"]
    whole = value.function in ("add", "sub") and len(reduced) == 2
    scaled = value.function == "mul" and any(isinstance(arg, Const) for arg in args)
    scaled = scaled or (value.function == "div" and isinstance(args[-1], Const))
    if not reduced or len({arg.kind for arg in reduced}) != 1 or not (whole or scaled):
        return value
    bodies = tuple(arg.body if isinstance(arg, Reduce) else arg for arg in args)
    return Reduce(reduced[0].kind, "batch", Apply(value.function, bodies, value.span), value.span)


def _shared(value: Expr) -> bool:
    """Is a value the same for all samples, made of more than one thing that is reduced over these
    as it stands?"""

    def gone(node: Expr) -> Expr | None:
        return Const(0.0) if isinstance(node, Reduce) and node.axis == "batch" else None

    rest = transform(value, gone)
    plain = isinstance(value, Apply) and value.function in ("add", "sub", "neg")
    scaled = (
        isinstance(value, Apply)
        and value.function in ("mul", "div")
        and any(isinstance(arg, Const) for arg in value.args)
    )
    if plain or scaled or (isinstance(value, Reduce) and value.axis == "batch"):
        return False  # its terms are looked at one by one
    return rest != value and not refs(rest)


def _marked(value: Expr) -> Expr:
    def visit(node: Expr) -> Expr | None:
        found = isinstance(node, Reduce) and node.axis == "batch"
        return replace(node, axis=SHARED) if found and isinstance(node, Reduce) else None

    return transform(value, visit)


def shared(
    context: Context, node: Reduce, summed: Callable[[Expr], Expr | None]
) -> tuple[list[Op], Expr]:
    """A mean or sum over the batch within a loss: what computes it, and a read of it whose slope
    is that by the sample's own share, for a loss that is itself a mean over the batch."""
    owner = owner_of(context, node.body)
    if node.kind not in ("mean", "sum") or not owner:
        raise LoweringError(
            "E0806",
            f"`bptt` cannot differentiate a {node.kind} over the batch within a loss",
            node.span,
            "take a mean or a sum of what a population ends with",
        )
    resolver = Resolver(context, owner)
    body = resolver.resolve(transform(node.body, summed))
    place = Place.NEURON if context.place(body) is Place.UNIT else Place.GLOBAL
    held = owner if place is Place.NEURON else ""
    name = context.scratch(f"{owner}.{node.kind}", place, held, "reduction over the batch")
    ops: list[Op] = [Elementwise(owner, tuple(resolver.emit))] if resolver.emit else []
    ops.append(Reduction(name, node.kind, body, (ROW,), span=node.span))
    slope: Expr = Const(1.0) if node.kind == "mean" else Load("batch.rows")
    return ops, Custom(Load(name), body, slope, node.span)


def elsewhere(
    context: Context, population: str, value: Expr, summed: Callable[[Expr], Expr | None]
) -> tuple[list[Op], Expr]:
    """What reduces other populations than the loss's own to numbers of a sample, and the value
    that reads these; `summed` says where a phase added up is."""
    ops: list[Op] = []

    def visit(node: Expr) -> Expr | None:
        if not isinstance(node, Reduce) or node.axis != "population":
            return summed(node)
        owner = owner_of(context, node.body)
        if owner in ("", population):
            return None
        resolver = Resolver(context, owner)
        body = resolver.resolve(transform(node.body, summed))
        row = context.scratch(f"{owner}.{node.kind}", Place.ROW, owner, "reduction of the loss")
        reduce = RowReduce(row, node.kind, body, node.span)
        ops.append(Elementwise(owner, (*resolver.emit, reduce), label="loss"))
        return Load(row, node.span)

    return ops, transform(value, visit)
