"""Tables that follow weights: means over the synapses between two types of neurons.

A routine that reads a table computes it first, from the weights that are there then; where a rule
changes them at every step, at the start of every step. So nothing has to be kept up to date.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from netdsl.ir.expr import Apply, Const, Expr, Index, Load, Reduce
from netdsl.ir.network import Place, Projection
from netdsl.ir.program import Each, Op, Reduction, Routine, Store
from netdsl.ir.roles import reads_of
from netdsl.ir.space import edge
from netdsl.ir.tables import Block, Table
from netdsl.passes.lower.context import Context
from netdsl.passes.lower.mask import mask_of
from netdsl.passes.lower.resolve import variable_buffer
from netdsl.passes.lower.strength import Strength, present


def with_tables(context: Context, routines: Mapping[str, Routine]) -> dict[str, Routine]:
    """Every routine with the tables that it reads computed ahead of their readers."""
    tables = context.network.tables.values()
    made: dict[str, Routine] = dict(routines)
    for table in tables:
        names = {context.named[key] for key in context.named if key.of in _paths(table)}
        for name, routine in made.items():
            if names:
                made[name] = _ahead(context, table, names, routine)
    return made


def _paths(table: Table) -> set[str]:
    return {block.path for block in table.blocks}


def _ahead(context: Context, table: Table, names: set[str], routine: Routine) -> Routine:
    owner = context.network.projections[table.projection]
    moved = any(owner.weight in op.writes for op in routine.step)

    def first(ops: tuple[Op, ...], *, again: bool) -> tuple[Op, ...]:
        read = bool(reads_of(ops) & names)
        return (*mean_ops(context, table), *ops) if read and again else ops

    whole = (*routine.once, *routine.step, *routine.after)
    if not reads_of(whole) & names:
        return routine
    if not moved:
        return replace(routine, once=(*mean_ops(context, table), *routine.once))
    return replace(
        routine,
        once=first(routine.once, again=True),
        step=first(routine.step, again=True),
        after=first(routine.after, again=True),
    )


def mean_ops(context: Context, table: Table) -> list[Op]:
    """What computes the means of a table, types with types."""
    projection = context.network.projections[table.projection]
    return [op for block in table.blocks for op in _Block(context, table, projection, block).ops()]


class _Block:
    """The mean over the synapses between two types."""

    def __init__(
        self, context: Context, table: Table, projection: Projection, block: Block
    ) -> None:
        self.context, self.table, self.projection, self.block = context, table, projection, block

    def ops(self) -> list[Op]:
        strength = Strength(self.context, self.projection)
        mean = self.context.variable(self.block.path).definition
        body = strength.resolve(mean.body) if isinstance(mean, Reduce) else None
        assert body is not None
        inside = self._inside()
        exists = self._exists()
        value = body if exists is None else Apply("mul", (exists, body))
        total, sums = self._sum(_where(inside, value), "sum of the weights of a block")
        ops: list[Op] = [*strength.ops, sums]
        if self.table.over == "present":
            here = exists if exists is not None else Const(1.0)
            counted, counts = self._sum(_where(inside, here), "synapses of a block")
            ops.append(counts)
            number: Expr = Load(counted)
        else:
            number = Const(float(self._pairs()))
        some = Apply("gt", (number, Const(0.0)))
        divisor = Apply("max", (number, Const(1.0)))
        value = Apply("select", (some, Apply("div", (Load(total), divisor)), Const(0.0)))
        target = variable_buffer(self.context, self.context.variable(self.block.path))
        span = self.table.span
        ops.append(Each((), (Store(target, value, span),), label=self.block.path, span=span))
        return ops

    def _sum(self, value: Expr, why: str) -> tuple[str, Op]:
        name = self.context.scratch(f"{self.block.path}.sum", Place.GLOBAL, "", why)
        over = (edge(self.projection.name),)
        return name, Reduction(name, "sum", value, over, span=self.table.span)

    def _exists(self) -> Expr | None:
        """1 where a synapse is; with `over all` where its number is stored, which is the same."""
        mask = mask_of(self.context, self.projection)
        found = Load(mask) if mask is not None else None
        alive = present(self.context, self.projection) if self.table.over == "present" else None
        if found is None or alive is None:
            return found or alive
        return Apply("mul", (found, alive))

    def _inside(self) -> list[Expr]:
        found: list[Expr] = [
            Apply("eq", (self._type(population, side), Const(code)))
            for population, side, (_, code, _) in (
                (self.projection.pre, "pre", self.block.pre),
                (self.projection.post, "post", self.block.post),
            )
            if code is not None
        ]
        if not self.table.loops and self.projection.pre == self.projection.post:
            starts = [part[0] if part else 0 for part in self._parts()]
            ends: list[Expr] = [
                Apply("add", (Index(None, side), Const(start))) if start else Index(None, side)
                for side, start in zip(("pre", "post"), starts, strict=True)
            ]
            found.append(Apply("ne", tuple(ends)))
        return found

    def _parts(self) -> tuple[tuple[int, int] | None, tuple[int, int] | None]:
        return self.projection.pre_slice, self.projection.post_slice

    def _type(self, population: str, side: str) -> Expr:
        """The type of a neuron; one that stands in a part counts from the part's first."""
        variable = self.context.variable(f"{population}.type")
        return Load(variable_buffer(self.context, variable), side=side)

    def _pairs(self) -> int:
        same = (
            self.projection.pre == self.projection.post and self.block.pre[0] == self.block.post[0]
        )
        pairs = self.block.pre[2] * self.block.post[2]
        return pairs - self.block.pre[2] if same and not self.table.loops else pairs


def _where(conditions: Iterable[Expr], value: Expr) -> Expr:
    held: Expr | None = None
    for condition in conditions:
        held = condition if held is None else Apply("and", (held, condition))
    return value if held is None else Apply("select", (held, value, Const(0.0)))
