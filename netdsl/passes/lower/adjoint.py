"""The reference rule `bptt(loss = E)`: reverse differentiation of a phase's operations.

The phase before the `update` is the tape. Walking it backwards, every operation adds to the
adjoints (dE/dx) of what it read; a delivery adds its weight gradient, a product of what was sent
and the adjoint of what was received. This edition differentiates phases of at most one step.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from netdsl.ir.algebra.derivative import derivative
from netdsl.ir.algebra.factor import times
from netdsl.ir.algebra.simplify import simplify
from netdsl.ir.expr import (
    NOW,
    Apply,
    Const,
    Expr,
    Load,
    Local,
    Reduce,
    loads,
    refs,
    transform,
    walk,
)
from netdsl.ir.network import Loss, Place, Projection
from netdsl.ir.program import (
    AxisReduce,
    Bind,
    Copy,
    DrawStore,
    Elementwise,
    Key,
    Op,
    Product,
    Propagate,
    Routine,
    RowReduce,
    Statement,
    Store,
)
from netdsl.ir.protocol import RunPhase, Update
from netdsl.passes.errors import LoweringError
from netdsl.passes.lower.context import Context
from netdsl.passes.lower.learning import UpdateBuilder
from netdsl.passes.lower.readout import population_of
from netdsl.passes.lower.resolve import Resolver
from netdsl.passes.lower.sites import Site
from netdsl.passes.lower.synapse import Factors


def reference_updates(
    context: Context, site: Site, step: Update, routines: dict[str, Routine]
) -> list[Op]:
    """Operations of the `bptt` rules that an `update` names; empty when there are none."""
    by_loss: dict[str, list[Projection]] = {}
    for name in step.projections:
        projection = context.network.projections[name]
        if projection.rule is not None and projection.rule.loss is not None:
            by_loss.setdefault(projection.rule.loss, []).append(projection)
    ops: list[Op] = []
    for name, projections in by_loss.items():
        phase = _phase(site, step, projections[0])
        routine = routines[phase.site]
        tape = _Tape(context, (*routine.once, *routine.step, *routine.after), projections)
        tape.run(context.network.losses[name])
        ops += tape.ops
        for projection in projections:
            if projection.weight not in tape.products:
                raise _unreached(context.network.losses[name], projection, phase)
            ops += tape.update(projection)
    return ops


def _unreached(loss: Loss, projection: Projection, phase: RunPhase) -> LoweringError:
    rule = projection.rule
    present = [ref.path for ref in refs(loss.value) if ref.time == NOW]
    now = [path for path in present if not path.startswith("sample.")]
    way_out = (
        f"read `{now[0]}@{phase.name}` in the loss: what that phase ends with"
        if now
        else "join them by edges of delay 0, or let the loss read what the projection drives"
    )
    return LoweringError(
        "E0807",
        f"loss `{loss.name}` does not depend on `{projection.name}` in phase `{phase.name}`",
        rule.learn_span if rule else projection.span,
        way_out,
    )


def _phase(site: Site, step: Update, projection: Projection) -> RunPhase:
    phase = site.previous
    span = projection.rule.learn_span if projection.rule else step.span
    if phase is None:
        raise LoweringError(
            "E0508",
            "`bptt` has no phase to differentiate before this `update`",
            step.span,
            "run the phase that computes the loss in the same block",
        )
    if not isinstance(phase.steps, Const) or phase.steps.value > 1:
        raise LoweringError(
            "E0806",
            f"`bptt` differentiates phases of at most one step; `{phase.name}` runs longer",
            span,
            "use a phase of 0 or 1 steps with zero-delay edges (a feed-forward pass)",
        )
    return phase


@dataclass
class _Tape:
    context: Context
    tape: tuple[Op, ...]
    projections: list[Projection]
    ops: list[Op] = field(default_factory=list)
    adjoints: dict[str, str] = field(default_factory=dict)
    products: dict[str, list[Product]] = field(default_factory=dict)

    def run(self, loss: Loss) -> None:
        """Emit the backward sweep from a loss."""
        self.active = self._active()
        self._loss(loss)
        for op in reversed(self.tape):
            if isinstance(op, Elementwise):
                self._elementwise(op)
            elif isinstance(op, Propagate):
                self._propagate(op)
            elif isinstance(op, Copy) and op.target in self.adjoints:
                self._add(op.source, Load(self.adjoints[op.target]))

    def update(self, projection: Projection) -> list[Op]:
        """The learning pass of one projection, with the derived gradient."""
        assert projection.rule is not None and projection.weight is not None
        products = tuple(self.products.get(projection.weight, ()))

        def read(population: str, expr: Expr, delay: int) -> tuple[list[Op], Expr]:
            return [], Resolver(self.context, population).resolve(expr)

        builder = UpdateBuilder(
            self.context, projection, projection.rule, read, Factors(self.context)
        )
        return builder.build(products)

    def _active(self) -> set[str]:
        """Buffers whose value depends on a weight that learns by this loss."""
        weights = {projection.weight for projection in self.projections}
        active: set[str] = set()
        for op in self.tape:
            if isinstance(op, Elementwise):
                for statement in op.statements:
                    if isinstance(statement, DrawStore):
                        continue
                    inside = set(loads(statement.value)) | set(_names(statement.value))
                    if inside & active:
                        active.add(_target(statement))
            elif isinstance(op, Propagate):
                if op.weight in weights or op.source in active:
                    active.add(op.target)
            elif op.reads & active:
                active |= op.writes
        return active

    # -- seeds --------------------------------------------------------------------------------

    def _loss(self, loss: Loss) -> None:
        value, scale = loss.value, Const(1.0)
        seed: Expr = scale
        if isinstance(value, Reduce) and value.axis == "batch":
            if value.kind == "mean":
                self.context.need("batch.rows", Place.GLOBAL, "", "counter", "samples present")
                seed = Apply("div", (Const(1.0), Load("batch.rows")))
            value = value.body
        population = population_of(self.context, value)
        resolver = Resolver(self.context, population)
        resolved = resolver.resolve(value)
        forward = Elementwise(population, tuple(resolver.emit), label=f"loss {loss.name}")
        self.ops.append(forward)
        for statement in resolver.emit:
            if not isinstance(statement, RowReduce | AxisReduce):
                continue
            if set(loads(statement.value)) & self.active:
                self.active.add(statement.buffer)
        per_row = self.context.scratch(
            f"{population}.{loss.name}", Place.ROW, population, "loss of a sample"
        )
        self.active.add(per_row)
        store = Store(per_row, resolved, loss.span)
        self.ops.append(Elementwise(population, (store,)))
        self.adjoints[per_row] = self._name(per_row)
        self.ops.append(Elementwise(population, (Store(self.adjoints[per_row], seed),)))
        self._elementwise(Elementwise(population, (*resolver.emit, store)))

    # -- reverse rules ------------------------------------------------------------------------

    def _elementwise(self, op: Elementwise) -> None:
        statements = _inlined(op.statements)
        for position in range(len(statements) - 1, -1, -1):
            statement = statements[position]
            if isinstance(statement, Store) and statement.buffer in self.adjoints:
                self._check(statement, statements[position:])
                self._through(statement.value, Load(self.adjoints[statement.buffer]))
            elif isinstance(statement, RowReduce) and statement.buffer in self.adjoints:
                self._row_reduce(op.population, statement)
            elif isinstance(statement, AxisReduce) and statement.buffer in self.adjoints:
                self._axis_reduce(op.population, statement)

    def _row_reduce(self, population: str, statement: RowReduce) -> None:
        adjoint = self.adjoints[statement.buffer]
        self._to_reduced(statement, adjoint, self.context.size(population))

    def _axis_reduce(self, population: str, statement: AxisReduce) -> None:
        """Every neuron of a group holds the group's number: their adjoints add up."""
        hint = f"{statement.buffer}.sum"
        total = self.context.scratch(hint, Place.UNIT, population, "adjoint of a group")
        adjoint = Load(self.adjoints[statement.buffer])
        summed = replace(statement, buffer=total, kind="sum", value=adjoint)
        self.ops.append(Elementwise(population, (summed,), label=total))
        self._to_reduced(statement, total, statement.length)

    def _to_reduced(self, statement: RowReduce | AxisReduce, adjoint: str, count: int) -> None:
        """From the adjoint of what `count` values were reduced to, to each of them."""
        back: Expr = Load(adjoint)
        if statement.kind == "mean":
            back = Apply("div", (back, Const(float(count))))
        elif statement.kind in ("max", "min"):
            here = Apply("eq", (statement.value, Load(statement.buffer)))
            back = Apply("select", (here, back, Const(0.0)))
        self._through(statement.value, back)

    def _through(self, value: Expr, adjoint: Expr) -> None:
        for name in loads(value):
            if name in self.active:
                slope = simplify(derivative(value, name))
                if slope != Const(0.0):
                    product = times(adjoint, slope)
                    assert product is not None
                    self._add(name, product)

    def _check(self, statement: Store, rest: list[Statement]) -> None:
        later = {_target(s) for s in rest}
        if set(loads(statement.value)) & later & self.active:
            raise LoweringError(
                "E0806",
                f"`bptt` cannot differentiate `{statement.buffer}`, which is overwritten in place",
                statement.span,
                "compute it as a `def` or in a state of its own",
            )

    def _propagate(self, op: Propagate) -> None:
        if op.target not in self.adjoints:
            return
        adjoint = self.adjoints[op.target]
        ends = (adjoint, op.source) if op.transposed else (op.source, adjoint)
        minus = times(Const(-1.0), op.scale)
        self.products.setdefault(op.weight, []).append(Product(*ends, minus))
        if op.source not in self.active:
            return
        started = op.source in self.adjoints
        self.ops.append(
            replace(
                op,
                source=adjoint,
                target=self._adjoint(op.source),
                accumulate=started,
                transposed=not op.transposed,
                binary=False,
            )
        )

    # -- adjoint buffers ----------------------------------------------------------------------

    def _name(self, buffer: str) -> str:
        held = self.context.buffers[buffer]
        why = "derivative of the loss"
        if not held.of:
            return self.context.need(f"{buffer}@adjoint", held.place, held.owner, "scratch", why)
        taken = Key(held.of, "adjoint") in self.context.named
        tag = f"{held.tag}@adjoint" if taken and held.tag else "adjoint"
        return self.context.need(held.of, held.place, held.owner, "scratch", why, tag=tag)

    def _adjoint(self, buffer: str) -> str:
        if buffer not in self.adjoints:
            self.adjoints[buffer] = self._name(buffer)
        return self.adjoints[buffer]

    def _add(self, buffer: str, value: Expr) -> None:
        """Add to the adjoint of a buffer; a per-sample number collects the population's sum."""
        held = self.context.buffers[buffer]
        started = buffer in self.adjoints
        target = self._adjoint(buffer)
        statements: list[Statement] = []
        if held.place is Place.ROW and self.context.place(value) is Place.UNIT:
            row = self.context.scratch(f"{buffer}.sum", Place.ROW, held.owner, "adjoint")
            statements.append(RowReduce(row, "sum", value))
            value = Load(row)
        total = Apply("add", (Load(target), value)) if started else value
        statements.append(Store(target, total))
        self.ops.append(Elementwise(held.owner, tuple(statements), label=target))


def _target(statement: Statement) -> str:
    return statement.name if isinstance(statement, Bind) else statement.buffer


def _names(expr: Expr) -> list[str]:
    return [node.name for node in walk(expr) if isinstance(node, Local)]


def _inlined(statements: tuple[Statement, ...]) -> list[Statement]:
    """The statements with bound names replaced by their values."""
    values: dict[str, Expr] = {}

    def visit(node: Expr) -> Expr | None:
        return values.get(node.name) if isinstance(node, Local) else None

    result: list[Statement] = []
    for statement in statements:
        if isinstance(statement, DrawStore):
            result.append(statement)
        elif isinstance(statement, Bind):
            values[statement.name] = transform(statement.value, visit)
        else:
            result.append(replace(statement, value=transform(statement.value, visit)))
    return result
