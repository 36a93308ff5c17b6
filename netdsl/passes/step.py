"""One phase of a protocol as a routine: what runs once, at every step, and at its end.

The order of a step: start-of-step snapshots and delay lines; deliveries of one-step and longer
edges, which read values before any cell overwrites them; cells and zero-delay deliveries in
data-flow order; then learning, all projections together. What cannot change within the phase is
computed once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from graphlib import CycleError, TopologicalSorter

from netdsl.ir.expr import ARRIVAL, NOW, PREV, Expr, Ref, refs, transform
from netdsl.ir.network import Deliver, Kind, Place, Population, Projection
from netdsl.ir.program import Elementwise, Fill, Op, Propagate, Routine, Store, SynapseUpdate
from netdsl.ir.protocol import Clamp, RunPhase
from netdsl.passes.body import Body, BodyBuilder, inputs_read
from netdsl.passes.context import Context, LoweringError
from netdsl.passes.deliver import Delivery
from netdsl.passes.explain import cut_notes, delivery_note, learning_notes
from netdsl.passes.invariant import invariants, moves, remembers
from netdsl.passes.learning import Factors, step_learning, together
from netdsl.passes.past import start_of_step
from netdsl.passes.pulse import begin, from_base, pulsed
from netdsl.passes.readout import accumulators, wanted_reductions
from netdsl.passes.resolve import Resolver, time_of, variable_buffer
from netdsl.passes.settle import Settle
from netdsl.passes.sites import Site

Node = tuple[str, str, int]  # ("body", population, segment) | ("send", projection, delivery)
# | ("input", path, 0)


def at_arrival(expr: Expr, delay: int, *, begun: bool = True) -> Expr:
    """The expression with presynaptic reads placed `delay` steps back.

    Unless the step has `begun`, present values are those of the step before.
    """

    def visit(node: Expr) -> Expr | None:
        if not isinstance(node, Ref) or (node.time != ARRIVAL and node.side != "pre"):
            return None
        if node.time == ARRIVAL:
            now = delay == 1 and not begun
            return replace(node, time=NOW if now else time_of(delay))
        return replace(node, time=time_of(1 + delay)) if node.time == PREV else None

    return transform(expr, visit)


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
        once = self._clamp_ops(each_step=False) + self._entry()
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
                target = self.context.need(
                    f"{path}@base", Place.UNIT, variable.owner, "hoisted", "loop-invariant part"
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
        if projection.name in self.phase.learning:
            return started, delivery.ops
        held = [op for op in delivery.ops if isinstance(op, SynapseUpdate)]
        self.weights += [op for op in held if op not in self.weights]
        return started, [op for op in delivery.ops if not isinstance(op, SynapseUpdate)]

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
            body = BodyBuilder(
                self.context, population, frozenset(self.clamps), frozenset(self.late)
            ).build()
            bodies[population.name] = body
            self.phases |= body.phases
            self.notes += body.notes
        self.notes += cut_notes(bodies, self.late)
        return bodies

    def _ordered(self, bodies: dict[str, Body]) -> list[Op]:
        """Segments and zero-delay deliveries in data-flow order."""
        waits = self._dependencies(bodies)
        try:
            order = list(TopologicalSorter(waits).static_order())
        except CycleError as problem:
            raise self._cycle(problem.args[1]) from None
        ops: list[Op] = []
        for kind, name, index in order:
            if kind == "body":
                segment = bodies[name].segments[index]
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

    def _dependencies(self, bodies: dict[str, Body]) -> dict[Node, list[Node]]:
        """What each segment, input and zero-delay delivery waits for."""
        waits: dict[Node, list[Node]] = {}
        for name, body in bodies.items():
            for index, segment in enumerate(body.segments):
                before: list[Node] = [("body", name, index - 1)] if index else []
                before += [("input", path, 0) for path in sorted(segment.inputs & set(self.late))]
                waits[("body", name, index)] = before
        for path, feeds in self.late.items():
            waits[("input", path, 0)] = []
            for projection, deliver in feeds:
                node = ("send", projection.name, projection.delivers.index(deliver))
                waits[("input", path, 0)].append(node)
                waits[node] = self._sources(projection, deliver, bodies)
        return waits

    def _sources(
        self, projection: Projection, deliver: Deliver, bodies: dict[str, Body]
    ) -> list[Node]:
        """What must have run before a zero-delay delivery can read its source."""
        states, inputs = self._read_behind(deliver.value)
        nodes: list[Node] = [("input", path, 0) for path in sorted(inputs & set(self.late))]
        for side in (projection.pre, projection.post):
            for index, segment in enumerate(bodies[side].segments):
                if segment.assigns & states[side == projection.post]:
                    nodes.append(("body", side, index))
        return nodes

    def _read_behind(self, expr: Expr) -> tuple[tuple[set[str], set[str]], set[str]]:
        """States read on the pre side and on the post side, and inputs, through definitions."""
        pre: set[str] = set()
        post: set[str] = set()
        inputs: set[str] = set()
        for ref in refs(expr):
            variable = self.context.variable(ref.path)
            if variable.kind is Kind.DEF and variable.definition is not None:
                (inner, _), more = self._read_behind(variable.definition)
                (pre if ref.side == "pre" else post).update(inner)
                inputs |= more
            elif variable.kind is Kind.INPUT:
                inputs.add(ref.path)
            else:
                (post if ref.side == "post" else pre).add(ref.path)
        return (pre, post), inputs

    def _cycle(self, nodes: list[Node]) -> LoweringError:
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

    def _entry(self) -> list[Op]:
        """`on phase` actions."""
        ops: list[Op] = []
        for population in self.network.populations.values():
            if population.on_phase:
                ops += self._entry_of(population)
        return ops

    def _entry_of(self, population: Population) -> list[Op]:
        settle = Settle(self.context, frozenset(self.clamps))
        stores = []
        for action in population.on_phase:
            if action.target in self.clamps:
                continue
            value = settle.value(population.name, action.value)
            target = variable_buffer(self.context, self.context.variable(action.target))
            stores.append(Store(target, value, action.span))
        return [*settle.ops, Elementwise(population.name, tuple(stores), label="on phase")]

    def _from_snapshots(self, ops: list[Op], learn: list[Op]) -> list[Op]:
        """Deliveries read the start-of-step copy where learning reads it too, so that a backend
        that lists its spikes does so once."""
        read = set[str]().union(*(op.reads for op in learn))

        def moved(op: Op) -> Op:
            if isinstance(op, Propagate) and op.source in self.context.lines:
                copy = start_of_step(self.context.variable(op.source))
                return replace(op, source=copy) if copy in read else op
            return op

        return [moved(op) for op in ops]

    def _learning(self) -> list[Op]:
        factors = Factors(self.context)
        ops: list[Op] = []
        for name, projection in self.network.projections.items():
            if name in self.phase.learning:
                ops += step_learning(self.context, projection, self._at_end, factors)
        self.notes += learning_notes(ops)
        return list(together(ops))

    def _at_end(self, population: str, expr: Expr, delay: int) -> tuple[list[Op], Expr]:
        """A rule's read at the end of the step: arrivals are `delay` steps old."""
        same = self.facts.steady(expr, delay)
        return self._resolved(population, at_arrival(expr, 0 if same else delay))


def clamp_ops(context: Context, clamp: Clamp, clamped: frozenset[str]) -> list[Op]:
    """Store a clamp's value."""
    variable = context.variable(clamp.target)
    settle = Settle(context, clamped)
    value = settle.value(variable.owner, clamp.value)
    target = variable_buffer(context, variable)
    store = Store(target, value, clamp.span)
    return [*settle.ops, Elementwise(variable.owner, (store,), label=f"clamp {clamp.target}")]
