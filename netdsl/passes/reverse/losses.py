"""The loss of a sample: what a loss sums or averages over the batch, with its reductions."""

from __future__ import annotations

from collections.abc import Callable

from netdsl.ir.expr import Apply, Const, Expr, Load, Reduce, transform
from netdsl.ir.network import Place
from netdsl.ir.program import Elementwise, Op, RowReduce
from netdsl.passes.lower.context import Context
from netdsl.passes.lower.resolve import Resolver
from netdsl.passes.lower.settle import owner_of


def together(value: Expr) -> Expr:
    """`mean(a over batch) + 2 * mean(b over batch) / 3` as one mean of `a + 2 * b / 3`."""
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
