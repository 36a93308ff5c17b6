"""One phase of a protocol as a routine: what runs once, at every step, and at its end.

The order of a step: start-of-step snapshots and delay lines; deliveries of one-step and longer
edges, which read values before any cell overwrites them; cells and zero-delay deliveries in
data-flow order; then learning, all projections together. What cannot change within the phase is
computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from netdsl.dataflow.order import Circle, Node, in_order, waits_within_step
from netdsl.ir.expr import Expr
from netdsl.ir.network import Deliver, Place, Projection
from netdsl.ir.program import Elementwise, Fill, Op, Propagate, Routine
from netdsl.ir.protocol import RunPhase
from netdsl.passes.errors import LoweringError
from netdsl.passes.lower.assignments import clamp_ops, entry_ops
from netdsl.passes.lower.body import Body, BodyBuilder, inputs_read
from netdsl.passes.lower.context import Context
from netdsl.passes.lower.deliver import Delivery
from netdsl.passes.lower.explain import (
    cut_notes,
    delivery_note,
    learning_notes,
    placing_notes,
)
from netdsl.passes.lower.invariant import invariants, moves, remembers
from netdsl.passes.lower.learning import step_learning, together
from netdsl.passes.lower.past import start_of_step
from netdsl.passes.lower.pulse import begin, from_base, pulsed
from netdsl.passes.lower.readout import accumulators, wanted_reductions
from netdsl.passes.lower.resolve import Resolver, variable_buffer
from netdsl.passes.lower.sites import Site
from netdsl.passes.lower.strength import weights_read
from netdsl.passes.lower.synapse import Factors
from netdsl.passes.lower.times import at_arrival
from netdsl.passes.lower.transposed import recursions_last


@dataclass
class PhaseBuilder:
    """Builds the routine of one phase statement."""

    context: Context
    site: Site
    phase: RunPhase
    notes: list[str] = field(default_factory=list)
    phases: set[tuple[str, str]] = field(default_factory=set)
    weights: list[Op] = field(default_factory=list)  # functions of weights that stay as they are

    def build(self) -> Routine:
        """The routine, before fusion."""
        self.network = self.context.network
        self.clamps = {clamp.target: clamp for clamp in self.site.clamps}
        self.facts = invariants(self.context, self.phase, self.clamps)
        summed = [r.body for r in wanted_reductions(self.context, self.site, self.phase)]
        self.needed = self.facts.needed_inputs(summed)
        once = self._clamp_ops(each_step=False) + entry_ops(self.context, frozenset(self.clamps))
        hoisted = self._hoisted()
        self.moving_clamps = self._clamp_ops(each_step=True)
        start = self._first_deliveries()
        bodies = self._bodies()
        middle = self._ordered(bodies)
        learn = self._learning()
        sums = accumulators(self.context, self.site, self.phase)
        step = [*self._from_snapshots(start, learn), *middle, *sums.step, *learn]
        return Routine(
            self.phase.site,
            "phase",
            (*once, *self.weights, *hoisted, *sums.once),
            tuple(step),
            tuple(sums.after),
            self.phase.name,
            tuple(dict.fromkeys(self.notes)),
            span=self.phase.span,
        )

    # -- deliveries that are equal at every step ---------------------------------------------

    def _hoisted(self) -> list[Op]:
        """Deliveries that are equal at every step, into the input itself or into a base."""
        self.base: dict[str, str] = {}
        self.fixed_inputs: set[str] = set()
        ops: list[Op] = []
        for path in self._in_order():
            self.notes += [delivery_note(self.facts, *feed) for feed in self.facts.feeds(path)]
            feeds = [feed for feed in self.facts.feeds(path) if self.facts.constant_send(*feed)]
            every = len(feeds) == len(self.facts.feeds(path))
            variable = self.context.variable(path)
            target = variable_buffer(self.context, variable)
            if path in self.clamps:
                continue
            if not feeds and (self.facts.feeds(path) or pulsed(self.context, path)):
                continue
            if every and not moves(self.context, path):
                self.fixed_inputs.add(path)
            else:
                why = "loop-invariant part"
                target = self.context.need(
                    path, Place.UNIT, variable.owner, "hoisted", why, tag="base"
                )
                self.base[path] = target
            if not feeds:
                ops.append(Fill(target, 0.0))
            started = False
            for projection, deliver in feeds:
                started, sent = self._send(projection, deliver, target, started)
                ops += sent
        return ops

    def _in_order(self) -> list[str]:
        """Needed inputs, those behind sent definitions first."""
        order: list[str] = []

        def visit(path: str) -> None:
            if path in order or path not in self.needed:
                return
            for projection, deliver in self.facts.feeds(path):
                if projection.delay == 0 or self.facts.constant_send(projection, deliver):
                    for inner in sorted(inputs_read(self.context, deliver.value) - {path}):
                        if self.facts.constant(inner):
                            visit(inner)
            order.append(path)

        for path in sorted(self.needed):
            visit(path)
        return order

    # -- deliveries ---------------------------------------------------------------------------

    def _send(
        self,
        projection: Projection,
        deliver: Deliver,
        target: str,
        started: bool,
        place: Callable[[Expr], Expr] = lambda expr: at_arrival(expr, 0),
    ) -> tuple[bool, list[Op]]:
        delivery = Delivery(
            self.context,
            lambda p, e: self._resolved(p.pre, place(e), sent=p.delay == 1),
            lambda p, e: self._resolved(p.post, e),
        )
        started = delivery.emit(projection, deliver, target, started)
        if weights_read(self.network, projection) & self.facts.changing:
            return started, [*delivery.weights, *delivery.ops]
        self.weights += [op for op in delivery.weights if op not in self.weights]
        return started, delivery.ops

    def _resolved(
        self, population: str, expr: Expr, *, sent: bool = False
    ) -> tuple[list[Op], Expr]:
        resolver = Resolver(self.context, population, sent=sent)
        value = resolver.resolve(expr)
        ops: list[Op] = []
        if resolver.emit:
            ops.append(Elementwise(population, tuple(resolver.emit)))
        return ops, value

    def _first_deliveries(self) -> list[Op]:
        """Bases of partly held inputs, and edges with a delay, before any cell runs."""
        self.started: set[str] = set()
        ops: list[Op] = []
        for path in sorted(self.needed):
            target = path
            if path not in self.clamps and pulsed(self.context, path):
                variable_buffer(self.context, self.context.variable(path))
                ops += begin(self.context, path)
                self.started.add(path)
            if path in self.base:
                ops.append(from_base(self.context, path, self.base[path], path in self.started))
                self.started.add(path)
            for projection, deliver in self.facts.feeds(path):
                if projection.delay == 0 or self.facts.constant_send(projection, deliver):
                    continue
                variable_buffer(self.context, self.context.variable(path))
                place = partial(self._before, delay=projection.delay)
                _, sent = self._send(projection, deliver, target, path in self.started, place)
                self.started.add(path)
                ops += sent
        return ops

    def _before(self, expr: Expr, delay: int) -> Expr:
        """What arrives of a sent value, where no cell has run yet in this step.

        Then states hold the values of the step before. Inputs may hold new sums already.
        """
        changed = inputs_read(self.context, expr) - set(self.clamps)
        earlier = changed or remembers(self.context, expr)
        return at_arrival(expr, delay, begun=bool(earlier))

    def _late(self) -> dict[str, list[tuple[Projection, Deliver]]]:
        """Inputs fed by zero-delay edges whose source moves within the phase."""
        late: dict[str, list[tuple[Projection, Deliver]]] = {}
        for path in sorted(self.needed):
            feeds = [
                (projection, deliver)
                for projection, deliver in self.facts.feeds(path)
                if projection.delay == 0 and not self.facts.constant_send(projection, deliver)
            ]
            if feeds:
                late[path] = feeds
        return late

    # -- cells --------------------------------------------------------------------------------

    def _bodies(self) -> dict[str, Body]:
        self.late = self._late()
        bodies: dict[str, Body] = {}
        for population in self.network.populations.values():
            held, late = frozenset(self.clamps), frozenset(self.late)
            body = BodyBuilder(self.context, population, held, late, self.phase.rows).build()
            bodies[population.name] = body
            self.phases |= body.phases
            self.notes += body.notes
        self.notes += cut_notes(bodies, self.late)
        return bodies

    def _ordered(self, bodies: dict[str, Body]) -> list[Op]:
        """Segments and zero-delay deliveries in data-flow order."""
        pieces = {name: body.segments for name, body in bodies.items()}
        try:
            order = in_order(waits_within_step(self.network, pieces, self.late))
        except Circle as circle:
            raise self._cycle(circle.nodes) from None
        ops: list[Op] = []
        for kind, name, index in order:
            if kind == "body":
                segment = bodies[name].segments[index]
                ops += segment.before
                if segment.statements:
                    ops.append(Elementwise(name, tuple(segment.statements), label=name))
            elif kind == "send":
                ops += self._late_send(name, index)
        return ops

    def _late_send(self, name: str, index: int) -> list[Op]:
        projection = self.network.projections[name]
        deliver = projection.delivers[index]
        path = deliver.input
        variable_buffer(self.context, self.context.variable(path))
        _, ops = self._send(projection, deliver, path, path in self.started)
        self.started.add(path)
        return ops

    def _cycle(self, nodes: Sequence[Node]) -> LoweringError:
        path = [name for kind, name, _ in reversed(nodes) if kind != "input"]
        text = " -> ".join(dict.fromkeys(path))
        first = next((n for n in path if n in self.network.projections), None)
        span = self.network.projections[first].span if first else self.phase.span
        return LoweringError(
            "E0501",
            f"a cycle without delay: {text}",
            span,
            "give one of these projections `delay 1 step`",
        )

    # -- the rest -----------------------------------------------------------------------------

    def _clamp_ops(self, *, each_step: bool) -> list[Op]:
        ops: list[Op] = []
        for target, clamp in self.clamps.items():
            if (target in self.facts.moving) == each_step:
                ops += clamp_ops(self.context, clamp, frozenset(self.clamps))
        return ops

    def _from_snapshots(self, ops: list[Op], learn: list[Op]) -> list[Op]:
        """Deliveries read the start-of-step copy where learning reads it too, so that a backend
        that lists its spikes does so once."""
        read = set[str]().union(*(op.reads for op in learn))

        def moved(op: Op) -> Op:
            if isinstance(op, Propagate) and op.source in self.context.lines:
                copy = start_of_step(self.context, self.context.variable(op.source))
                return replace(op, source=copy) if copy in read else op
            return op

        return [moved(op) for op in ops]

    def _learning(self) -> list[Op]:
        factors = Factors(self.context)
        ops: list[Op] = []
        for name, projection in self.network.projections.items():
            if name in self.phase.learning:
                ops += step_learning(self.context, projection, self._at_end, factors)
                self.notes += placing_notes(self.context, projection)
        self.notes += learning_notes(ops)
        return list(together(recursions_last(self.context, ops)))

    def _at_end(self, population: str, expr: Expr, delay: int) -> tuple[list[Op], Expr]:
        """A rule's read at the end of the step: arrivals are `delay` steps old."""
        same = self.facts.steady(expr, delay)
        return self._resolved(population, at_arrival(expr, 0 if same else delay))
