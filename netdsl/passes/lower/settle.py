"""Settled values: inputs and definitions recomputed from the present states, delays ignored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from netdsl.ir.expr import ARRIVAL, NOW, SETTLED, Expr, Load, Reduce, Ref, refs, transform
from netdsl.ir.network import Deliver, Kind, Place, Projection, Variable
from netdsl.ir.program import Copy, Elementwise, Fill, Op, RowReduce, Store
from netdsl.passes.errors import LoweringError
from netdsl.passes.lower.context import Context
from netdsl.passes.lower.deliver import Delivery
from netdsl.passes.lower.resolve import Resolver, phase_buffer, variable_buffer


def contributions(context: Context, path: str) -> tuple[tuple[Projection, Deliver], ...]:
    """Every delivery into an input, in the order of the text."""
    return tuple(
        (projection, deliver)
        for projection in context.network.projections.values()
        for deliver in projection.delivers
        if deliver.input == path
    )


@dataclass
class Settle:
    """Collects the operations that settle what is asked for; each input is computed once.

    `known`: inputs whose settled value some buffer already holds (loop-invariant ones).
    `clamped`: inputs bound by a clamp: their buffer is their value.
    """

    context: Context
    clamped: frozenset[str] = frozenset()
    known: Mapping[str, str] = field(default_factory=dict)
    ops: list[Op] = field(default_factory=list)
    phases: set[tuple[str, str]] = field(default_factory=set)
    _done: dict[str, str] = field(default_factory=dict)
    _open: list[str] = field(default_factory=list)

    def resolver(self, population: str) -> Resolver:
        """A resolver whose bare input reads are settled ones."""
        return Resolver(self.context, population, settled=self.input, phases=self.phases)

    def value(self, population: str, expr: Expr) -> Expr:
        """An expression of a population over present states; reductions are emitted."""
        resolver = self.resolver(population)
        value = resolver.resolve(self._elsewhere(population, retime_all(expr)))
        if resolver.emit:
            self.ops.append(Elementwise(population, tuple(resolver.emit)))
        return value

    def _elsewhere(self, population: str, expr: Expr) -> Expr:
        """Reductions over another population, as a protocol may write them, in buffers."""

        def visit(node: Expr) -> Expr | None:
            if not isinstance(node, Reduce) or node.axis != "population":
                return None
            owner = owner_of(self.context, node.body)
            if owner in ("", population):
                return None
            body = self.value(owner, node.body)
            row = self.context.scratch(f"{owner}.{node.kind}", Place.ROW, owner, "reduction")
            reduce = RowReduce(row, node.kind, body, node.span)
            self.ops.append(Elementwise(owner, (reduce,)))
            return Load(row, node.span)

        return transform(expr, visit)

    def input(self, path: str) -> str:
        """The buffer that holds an input's settled value."""
        if path in self._done:
            return self._done[path]
        variable = self.context.variable(path)
        feeds = contributions(self.context, path)
        if path in self.known:
            buffer = self.known[path]
        elif path in self.clamped or not feeds:
            buffer = variable_buffer(self.context, variable)
            if path not in self.clamped:
                self.ops.append(Fill(buffer, 0.0))
        else:
            target = self.context.need(
                path,
                Place.UNIT,
                variable.owner,
                "scratch",
                "input recomputed from the present states",
                span=variable.span,
                tag="settled",
            )
            buffer = self._compute(variable, feeds, target)
        self._done[path] = buffer
        return buffer

    def _compute(
        self, variable: Variable, feeds: tuple[tuple[Projection, Deliver], ...], target: str
    ) -> str:
        if variable.path in self._open:
            loop = " -> ".join([*self._open[self._open.index(variable.path) :], variable.path])
            raise LoweringError(
                "E0503",
                f"the settled value of `{variable.path}` depends on itself: {loop}",
                variable.span,
                "send a state instead of a definition of inputs along one of these projections",
            )
        self._open.append(variable.path)
        delivery = Delivery(
            self.context,
            lambda projection, expr: ([], self.value(projection.pre, expr)),
            lambda projection, expr: ([], self.value(projection.post, expr)),
        )
        started = False
        for projection, deliver in feeds:
            delivery.ops, delivery.weights = [], []
            started = delivery.emit(projection, deliver, target, started)
            self.ops += (*delivery.weights, *delivery.ops)
        self._open.pop()
        return target

    def snapshot(self, path: str, phase: str | None) -> None:
        """Store `x@phase` at the end of a phase; without one what the host reads settled."""
        variable = self.context.variable(path)
        target = phase_buffer(self.context, variable, phase)
        if variable.kind is Kind.INPUT:
            feeds = contributions(self.context, path)
            held = path in self._done or path in self.known or path in self.clamped
            if held or not feeds:
                self.ops.append(Copy(target, self.input(path), variable.span))
            else:
                self._done[path] = self._compute(variable, feeds, target)
        elif variable.kind is Kind.DEF:
            assert variable.definition is not None
            value = self.value(variable.owner, variable.definition)
            self.ops.append(
                Elementwise(variable.owner, (Store(target, value, variable.span),), label=target)
            )
        else:
            self.ops.append(Copy(target, variable_buffer(self.context, variable), variable.span))


def owner_of(context: Context, expr: Expr) -> str:
    """The population whose variables an expression reads; "" where it reads none."""
    owners = (context.variable(ref.path).owner for ref in refs(expr))
    return next((owner for owner in owners if owner in context.network.populations), "")


def retime_all(expr: Expr) -> Expr:
    """Arrival and settled reads become present ones: delays are ignored."""

    def visit(node: Expr) -> Expr | None:
        if isinstance(node, Ref) and node.time in (ARRIVAL, SETTLED):
            return replace(node, time=NOW)
        return None

    return transform(expr, visit)
