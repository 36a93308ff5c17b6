"""Deliveries: from `deliver input += expression` to operations that add to an input buffer."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from netdsl.ir.algebra.factor import POST, PRE, ROW, SYNAPSE, NotFactorable, Term, times
from netdsl.ir.expr import (
    Apply,
    Const,
    Expr,
    Index,
    Load,
    Reduce,
    Ref,
    refs,
    span_of,
    walk,
)
from netdsl.ir.network import Deliver, Place, Projection, Type
from netdsl.ir.program import Elementwise, Fill, Op, Propagate, RowReduce, Store
from netdsl.passes.errors import LoweringError
from netdsl.passes.lower.context import Context, add
from netdsl.passes.lower.strength import Strength, factored

ResolvePre = Callable[[Projection, Expr], tuple[list[Op], Expr]]
ResolvePost = Callable[[Projection, Expr], tuple[list[Op], Expr]]


def classify(context: Context) -> Callable[[Expr], str | None]:
    """Which factor a leaf of a synaptic expression belongs to."""

    def leaf(node: Expr) -> str | None:
        if isinstance(node, Index):
            return POST if node.side == "own" else SYNAPSE
        if not isinstance(node, Ref):
            return None
        place = context.variable(node.path).place
        if node.side in (PRE, POST, SYNAPSE):
            scalar = place is Place.GLOBAL
            return None if scalar else node.side
        by_place = {Place.GLOBAL: None, Place.ROW: ROW, Place.SYNAPSE: SYNAPSE}
        return by_place.get(place, POST)

    return leaf


def terms_of(context: Context, projection: Projection, deliver: Deliver) -> tuple[Term, ...]:
    """The delivery as a sum of factored terms. Raises LoweringError where it does not factor."""
    try:
        _require_own(deliver.value)
        return factored(context, projection, deliver.value, classify(context))
    except NotFactorable as problem:
        raise LoweringError(
            "E0801",
            f"what `{projection.name}` delivers does not factor into presynaptic, synaptic and "
            "postsynaptic parts",
            problem.span or deliver.span,
            "write it as a sum of products such as `w * f(pre.x) * g(post.y)`",
        ) from None


def _require_own(value: Expr) -> None:
    """One synapse delivers its own numbers, never sums over synapses."""
    for node in walk(value):
        over = refs(node.body) if isinstance(node, Reduce) else ()
        if any(ref.side == SYNAPSE for ref in over):
            raise NotFactorable(span_of(node))


def within(value: Expr, part: tuple[int, int] | None) -> Expr:
    """The value in a slice of its population, 0 outside."""
    if part is None:
        return value
    first = Apply("ge", (Index(), Const(part[0])))
    last = Apply("lt", (Index(), Const(part[1])))
    return Apply("select", (Apply("and", (first, last)), value, Const(0.0)))


@dataclass
class Delivery:
    """Emits the operations of one delivery into `target`; `started` is whether it holds a sum."""

    context: Context
    resolve_pre: ResolvePre
    resolve_post: ResolvePost
    ops: list[Op] = field(default_factory=list)
    weights: list[Op] = field(default_factory=list)  # what the deliveries go through

    def emit(self, projection: Projection, deliver: Deliver, target: str, started: bool) -> bool:
        """Add the delivery's terms to `target`; returns True."""
        for term in terms_of(self.context, projection, deliver):
            self._term(projection, deliver, term, target, started)
            started = True
        return started

    def _term(
        self, projection: Projection, deliver: Deliver, term: Term, target: str, started: bool
    ) -> None:
        if projection.connectivity.kind == "one_to_one":
            self._one_to_one(projection, term, target, started)
        elif term.synapse is None and Strength(self.context, projection).everywhere():
            self._broadcast(projection, term, target, started)
        else:
            self._dense(projection, deliver, term, target, started)

    def _one_to_one(self, projection: Projection, term: Term, target: str, started: bool) -> None:
        if projection.pre_slice is not None or projection.post_slice is not None:
            raise LoweringError(
                "E0831",
                "one_to_one projections between parts of populations are not offered by this "
                "edition's backends",
                projection.span,
                "give the part a population of its own",
            )
        synapse = None
        if term.synapse is not None:
            synapse = Strength(self.context, projection).resolve(term.synapse)
        value = times(self._scalar(projection, term), synapse)
        for part, resolve in ((term.pre, self.resolve_pre), (term.post, self.resolve_post)):
            if part is not None:
                ops, resolved = resolve(projection, part)
                self.ops += ops
                value = times(value, resolved)
        self._store(projection, target, value, started)

    def _store(
        self, projection: Projection, target: str, value: Expr | None, started: bool
    ) -> None:
        value = Const(1.0) if value is None else value
        total = add(Load(target), value) if started else value
        self.ops.append(
            Elementwise(projection.post, (Store(target, total, projection.span),), label=target)
        )

    def _scalar(self, projection: Projection, term: Term) -> Expr | None:
        if term.scalar is None:
            return None
        ops, value = self.resolve_post(projection, term.scalar)
        self.ops += ops
        return value

    def _broadcast(self, projection: Projection, term: Term, target: str, started: bool) -> None:
        """No weight: every unit receives the population's sum."""
        context = self.context
        row = context.scratch(f"{projection.name}.sum", Place.ROW, projection.pre, "sum over pre")
        source, ops = self._source(projection, term.pre)
        self.ops += ops
        sent = within(Load(source), projection.pre_slice)
        self.ops.append(Elementwise(projection.pre, (RowReduce(row, "sum", sent),)))
        received = within(Load(row), projection.post_slice)
        value = times(self._scalar(projection, term), received)
        if term.post is not None:
            post_ops, post = self.resolve_post(projection, term.post)
            self.ops += post_ops
            value = times(value, post)
        self._store(projection, target, value, started)

    def _dense(
        self,
        projection: Projection,
        deliver: Deliver,
        term: Term,
        target: str,
        started: bool,
    ) -> None:
        context = self.context
        strength = Strength(context, projection)
        weight = strength.buffer(term.synapse)
        self.weights += [op for op in strength.ops if op not in self.weights]
        source, ops = self._source(projection, term.pre)
        self.ops += ops
        goal, fresh = target, not started
        if term.post is not None:
            goal = context.scratch(
                f"{target}.part", Place.UNIT, projection.post, "delivery before its post factor"
            )
            fresh = True
        if fresh and projection.post_slice is not None:  # the other units receive nothing
            self.ops.append(Fill(goal, 0.0))
            fresh = False
        back = projection.carrier is not None
        ends = (projection.pre_slice, projection.post_slice)
        rows, columns = ends[::-1] if back else ends  # of the weights
        self.ops.append(
            Propagate(
                strength.listed,
                weight,
                source,
                goal,
                self._scalar(projection, term),
                accumulate=not fresh,
                transposed=back,
                binary=context.buffers[source].type is Type.BOOL,
                pre_slice=rows,
                post_slice=columns,
                span=deliver.span or projection.span,
            )
        )
        if term.post is not None:
            post_ops, post = self.resolve_post(projection, term.post)
            self.ops += post_ops
            self._store(projection, target, times(Load(goal), post), started)

    def _source(self, projection: Projection, pre: Expr | None) -> tuple[str, list[Op]]:
        """A UNIT buffer of the presynaptic population holding the factor that is sent."""
        context = self.context
        population = projection.pre
        if pre is None:
            ones = context.need(population, Place.UNIT, population, "scratch", "ones", tag="ones")
            return ones, [Fill(ones, 1.0)]
        ops, value = self.resolve_pre(projection, pre)
        if isinstance(value, Load) and context.buffers[value.buffer].place is Place.UNIT:
            return value.buffer, ops
        name = context.scratch(
            f"{projection.name}.sent", Place.UNIT, population, "what the projection sends"
        )
        return name, [*ops, Elementwise(population, (Store(name, value),), label=name)]
