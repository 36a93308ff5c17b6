"""What a phase needs and what cannot change while it runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from netdsl.dataflow.walk import walk_population, walk_projection, walk_rule
from netdsl.ir.expr import Expr, refs
from netdsl.ir.network import Deliver, Kind, Projection, Variable
from netdsl.ir.protocol import Clamp, RunPhase
from netdsl.passes.lower.body import body_inputs, inputs_read
from netdsl.passes.lower.constancy import assigned
from netdsl.passes.lower.context import Context
from netdsl.passes.lower.pulse import pulsed
from netdsl.passes.lower.settle import contributions
from netdsl.passes.lower.strength import weights_read
from netdsl.passes.lower.times import steps_ago

Feed = tuple[Projection, Deliver]


def invariants(context: Context, phase: RunPhase, clamps: dict[str, Clamp]) -> Invariants:
    """The questions about a phase, once it is known which of its clamps move."""
    moving = {target for target, clamp in clamps.items() if target in _paths(clamp.value)}
    while True:
        facts = Invariants(context, phase, clamps, moving)
        found = {t for t, clamp in clamps.items() if not facts.constant_expr(clamp.value)}
        if found <= moving:
            return facts
        moving |= found


def remembers(context: Context, expr: Expr) -> bool:
    """Does a value read an earlier step, through definitions too?"""
    for ref in refs(expr):
        definition = context.variable(ref.path).definition
        if steps_ago(ref.time) or (definition is not None and remembers(context, definition)):
            return True
    return False


def moves(context: Context, path: str) -> bool:
    """Must an input be summed at every step, whatever feeds it?

    A pulse is over after a step; of what is read later, each step's value has its slot.
    """
    return pulsed(context, path) or path in remembered(context)


def remembered(context: Context) -> frozenset[str]:
    """Inputs of which an earlier value is read, through what is sent with delay or by `@prev`."""
    if context.remembered is None:
        found: set[str] = set()
        for expr, delay in _expressions(context):
            for ref in refs(expr):
                if steps_ago(ref.time) or (ref.side == "pre" and delay):
                    found |= inputs_read(context, ref)
        context.remembered = frozenset(found)
    return context.remembered


def _expressions(context: Context) -> Iterator[tuple[Expr, int]]:
    """Every expression of cells, deliveries and rules, with its projection's delay."""
    for projection in context.network.projections.values():
        yield from ((flow.expr, projection.delay) for flow in walk_projection(projection))
    for population in context.network.populations.values():
        yield from ((flow.expr, 0) for flow in walk_population(population))


def _paths(expr: Expr) -> set[str]:
    return {ref.path for ref in refs(expr)}


@dataclass
class Invariants:
    """Questions about one phase: inputs needed, deliveries into them, and what stays constant.

    `clamps`: the clamps in force by target; `moving`: those that change from step to step.
    """

    context: Context
    phase: RunPhase
    clamps: dict[str, Clamp]
    moving: set[str]
    _constant: dict[str, bool] = field(default_factory=dict)

    @cached_property
    def changing(self) -> frozenset[str]:
        """Projections whose weights change at every step of the phase."""
        return self.context.network.changing(self.phase.learning)

    def needed_inputs(self, summed: Iterable[Expr] = ()) -> set[str]:
        """Inputs that some cell, a rule or a readout over the phase (`summed`) reads in a step,
        and those behind definitions that are sent."""
        needed: set[str] = set()
        for value in summed:
            needed |= inputs_read(self.context, value)
        for population in self.context.network.populations.values():
            needed |= body_inputs(self.context, population)
        for name in self.phase.learning:
            needed |= self._learning_inputs(self.context.network.projections[name])
        frontier = set(needed)
        while frontier:
            found: set[str] = set()
            for path in frontier:
                for _, deliver in contributions(self.context, path):
                    found |= inputs_read(self.context, deliver.value)
            frontier = found - needed
            needed |= found
        return needed

    def _learning_inputs(self, projection: Projection) -> set[str]:
        rule = projection.rule
        found: set[str] = set()
        for flow in walk_rule(rule) if rule is not None else ():
            found |= inputs_read(self.context, flow.expr)
        return found

    def feeds(self, path: str) -> tuple[Feed, ...]:
        """Deliveries into an input; none while it is clamped."""
        return () if path in self.clamps else contributions(self.context, path)

    def constant(self, path: str) -> bool:
        """Can a variable not change while the phase runs?"""
        if path not in self._constant:
            self._constant[path] = False  # a variable that depends on itself is not constant
            self._constant[path] = self._is_constant(self.context.variable(path))
        return self._constant[path]

    def _is_constant(self, variable: Variable) -> bool:
        kind = variable.kind
        if variable.path in self.clamps:
            return variable.path not in self.moving
        if kind is Kind.SAMPLE:
            return not variable.series
        if kind in (Kind.PARAM, Kind.CONTROL, Kind.GLOBAL):
            return True
        if kind is Kind.COUNTER:
            return variable.path not in ("phase.step", "t")
        if kind in (Kind.WEIGHT, Kind.OPTIMISER):
            return variable.owner not in self.changing
        if kind in (Kind.DEF, Kind.TABLE):
            return variable.definition is not None and self.constant_expr(variable.definition)
        if kind is Kind.INPUT and moves(self.context, variable.path):
            return False
        if kind is Kind.INPUT:
            return all(self.constant_send(*feed) for feed in self.feeds(variable.path))
        return kind is Kind.STATE and self._rests(variable)

    def _rests(self, variable: Variable) -> bool:
        """Is this a state of a cell that no statement changes? Those of rules change."""
        cell = self.context.network.populations.get(variable.owner)
        if cell is None or variable.path not in cell.variables:
            return False
        return variable.path not in assigned(self.context, variable.owner)

    def constant_expr(self, expr: Expr) -> bool:
        """Can a value not change while the phase runs?"""
        return all(self.constant(ref.path) for ref in refs(expr))

    def constant_send(self, projection: Projection, deliver: Deliver) -> bool:
        """Does a delivery bring the same numbers at every step?"""
        if weights_read(self.context.network, projection) & self.changing:
            return False
        return self.steady(deliver.value, projection.delay)

    def steady(self, expr: Expr, delay: int) -> bool:
        """Is a value that arrives after `delay` steps the same at every step, the first included?

        What is clamped or was set before the phase counts as the value of the step before; inputs
        were something else then.
        """
        changed = inputs_read(self.context, expr) - set(self.clamps)
        if delay > 1 or (delay == 1 and (changed or remembers(self.context, expr))):
            return False
        return self.constant_expr(expr)
