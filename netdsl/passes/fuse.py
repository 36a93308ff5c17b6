"""Fuse elementwise operations, drop what nobody reads, take scalar work out of loops."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from netdsl.ir.expr import Apply, Const, Expr, Local, transform, walk
from netdsl.ir.program import Bind, Elementwise, Op, Product, Statement, SynapseUpdate
from netdsl.ir.roles import expressions, mapped
from netdsl.passes.context import Context, is_scalar
from netdsl.passes.simplify import simplify

_DROPPABLE = {"scratch", "modulator", "accumulator"}


def fuse(ops: Iterable[Op]) -> tuple[Op, ...]:
    """Merge elementwise operations of one population where no operation between forbids it."""
    result: list[Op] = []
    for op in ops:
        if not isinstance(op, Elementwise) or not op.statements:
            if not isinstance(op, Elementwise):
                result.append(op)
            continue
        place = _partner(result, op)
        if place is None:
            result.append(_sunk(result, op))
        else:
            earlier = result[place]
            assert isinstance(earlier, Elementwise)
            result[place] = _joined(earlier, op)
    return tuple(result)


def _partner(ops: list[Op], op: Elementwise) -> int | None:
    """Index of an earlier operation on the same population that `op` can join."""
    for index in range(len(ops) - 1, -1, -1):
        other = ops[index]
        if isinstance(other, Elementwise) and other.population == op.population:
            return index
        if not _commute(op, other):
            return None
    return None


def _commute(one: Op, other: Op) -> bool:
    """Whether two operations may change places."""
    return not (other.writes & (one.reads | one.writes) or other.reads & one.writes)


def _sunk(ops: list[Op], op: Elementwise) -> Elementwise:
    """`op` with the last earlier operation on its population, where that can wait until here."""
    for index in range(len(ops) - 1, -1, -1):
        earlier = ops[index]
        if isinstance(earlier, Elementwise) and earlier.population == op.population:
            if not all(_commute(earlier, other) for other in ops[index + 1 :]):
                return op
            del ops[index]
            return _joined(earlier, op)
    return op


def _joined(first: Elementwise, second: Elementwise) -> Elementwise:
    label = first.label if second.label in ("", first.label) else f"{first.label}, {second.label}"
    return Elementwise(first.population, (*first.statements, *second.statements), (), label)


def live(context: Context, ops: tuple[Op, ...], outside: set[str]) -> tuple[Op, ...]:
    """Drop stores to scratch values that neither this routine nor `outside` reads."""
    while True:
        needed = set(outside)
        for op in ops:
            needed |= op.reads
        kept = tuple(o for o in (_pruned(context, op, needed) for op in ops) if o is not None)
        if kept == ops:
            return ops
        ops = kept


def _all_dead(context: Context, buffers: Iterable[str], needed: set[str]) -> bool:
    return all(b not in needed and context.buffers[b].role in _DROPPABLE for b in buffers)


def _pruned(context: Context, op: Op, needed: set[str]) -> Op | None:
    if not isinstance(op, Elementwise):
        return None if _all_dead(context, op.writes, needed) else op
    kept = [s for s in op.statements if not (s.writes and _all_dead(context, s.writes, needed))]
    kept = _without_unused_binds(kept)
    if not kept:
        return None
    return op if len(kept) == len(op.statements) else replace(op, statements=tuple(kept))


def _without_unused_binds(statements: list[Statement]) -> list[Statement]:
    used: set[str] = set()
    kept: list[Statement] = []
    for statement in reversed(statements):
        if isinstance(statement, Bind) and statement.name not in used:
            continue
        kept.append(statement)
        for expr in expressions(statement):
            used |= {n.name for n in _locals(expr)}
    return kept[::-1]


def _locals(expr: Expr) -> list[Local]:
    return [node for node in walk(expr) if isinstance(node, Local)]


class _Scalars:
    """Collects scalar subexpressions of one operation under names."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.names: dict[Expr, str] = {}

    def visit(self, node: Expr) -> Expr | None:
        if isinstance(node, Apply) and is_scalar(node, self.context):
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
            if is_scalar(divisor, self.context) and not is_scalar(value, self.context):
                inverse = simplify(Apply("div", (Const(1.0), divisor), node.span))
                rest = transform(value, self._reciprocal)
                return Apply("mul", (rest, inverse), node.span)
        return None

    def binds(self) -> tuple[Bind, ...]:
        return tuple(Bind(name, expr) for expr, name in self.names.items())


def with_scalars(context: Context, op: Op) -> Op:
    """Name the scalar subexpressions of an operation, to be evaluated once before its loops."""
    scalars = _Scalars(context)
    if isinstance(op, Elementwise):
        statements = tuple(mapped(s, scalars.take) for s in op.statements)
        return replace(op, statements=statements, scalars=scalars.binds())
    if isinstance(op, SynapseUpdate):
        sums = tuple(
            replace(s, products=tuple(_product(p, scalars) for p in s.products)) for s in op.sums
        )
        inner = tuple(replace(s, value=scalars.take_per_synapse(s.value)) for s in op.statements)
        return replace(op, sums=sums, statements=inner, scalars=scalars.binds())
    return op


def _product(product: Product, scalars: _Scalars) -> Product:
    if product.coefficient is None:
        return product
    return replace(product, coefficient=scalars.take(product.coefficient))
