"""States of a rule that runs in reverse: the recursions of a unit that a sweep turns round.

The operations are never run. They stand in the phase, with a buffer per unit for each state and for
each factor that arrives, until the sweep has been derived from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from netdsl.ir.algebra.factor import Term, times
from netdsl.ir.algebra.simplify import simplify
from netdsl.ir.expr import (
    NOW,
    PREV,
    SETTLED,
    Apply,
    Const,
    Expr,
    Index,
    Load,
    Local,
    Reduce,
    Ref,
    refs,
    transform,
)
from netdsl.ir.network import Assign, Kind, Place, Projection, Type
from netdsl.ir.program import Bind, Elementwise, Op, Propagate, Store
from netdsl.passes.lower.context import Context, Transposed
from netdsl.passes.lower.form import own, terms
from netdsl.passes.lower.states import StateSteps
from netdsl.passes.lower.synapse import Factors, Read

Made = Mapping[str, tuple[int, Expr]]  # places in a body and values of what it assigns
_WHY = "stands for what the states of synapses follow"


def state_steps(context: Context, projection: Projection, read: Read, factors: Factors) -> list[Op]:
    """What advances the states of a projection's rule by a step."""
    rule = projection.rule
    assert rule is not None
    if not rule.statements:
        return []
    reverse = projection.name in context.transposed
    steps = TransposedSteps if reverse else StateSteps
    return steps(context, projection, rule, read, factors).build()


def recursions_last(context: Context, ops: list[Op]) -> list[Op]:
    """Recursions that a sweep turns round come behind all that enters them."""

    def imagined(op: Op) -> bool:
        return not getattr(op, "weight", "") and bool(op.writes) and op.writes <= context.imagined

    return sorted(ops, key=imagined)


class TransposedSteps(StateSteps):
    """Builds what stands for the statements at synapses, one number per unit and sample."""

    deliveries: list[Op]

    def build(self) -> list[Op]:
        """Operations in order; what follows the recursions of another projection shares them."""
        plan = self.context.transposed[self.projection.name]
        if all(v.place is Place.ROW_SYNAPSE for v in self.rule.variables.values()):
            built = (other for other in self.context.transposed.values() if other.states)
            twin = next((other for other in built if other.signature == plan.signature), None)
            if twin is not None:
                return self._shared(plan, twin)
        return super().build()

    def _shared(self, plan: Transposed, other: Transposed) -> list[Op]:
        """Deliveries into what another projection's factors enter."""
        self.ops, self.bound, self.deliveries = [], set(), []
        plan.states = {
            plan.prefix + path.removeprefix(other.prefix): name
            for path, name in other.states.items()
        }
        targets = iter([target for target, _ in other.inputs.values()])
        for statement in self._needed():
            for term in terms(self.context, self.rule, statement.value):
                if term.pre is None or (term.pre, term.synapse) in plan.inputs:
                    continue
                target, through = next(targets), self._through()
                plan.inputs[term.pre, term.synapse] = target, through
                delivery = self._delivery(term.pre, through, target)
                self.deliveries.append(replace(delivery, accumulate=True))
        return [*self.ops, *self.deliveries]

    def _synapses(self, group: list[Assign], later: set[str]) -> list[Op]:
        self.ops, self.bound, self.deliveries = [], set(), []
        statements: list[Bind | Store] = []
        for statement in group:
            path, variable = statement.target, self.rule.variables[statement.target]
            value = self._unit(statement.value)
            if variable.kind is not Kind.LET:
                statements.append(Store(self._state(path), value, statement.span))
                continue
            statements.append(Bind(path, value, statement.span))
            self.bound.add(path)
            if path in later or path in self.behind:
                statements.append(Store(self._state(path), Local(path), statement.span))
        cells = Elementwise(self.projection.post, tuple(statements), label=self._label())
        return [*self.ops, *self.deliveries, cells]

    def _state(self, path: str) -> str:
        """What stands for a state or a `let` of synapses."""
        held = self.context.transposed[self.projection.name].states
        if path not in held:
            held[path] = self._imagined(path, Place.UNIT, self.projection.post)
        return held[path]

    def _imagined(self, hint: str, place: Place, owner: str) -> str:
        name = self.context.scratch(hint, place, owner, _WHY)
        self.context.imagined.add(name)
        return name

    def _unit(self, expr: Expr) -> Expr:
        total: Expr = Const(0.0)
        for term in terms(self.context, self.rule, expr):
            value = times(self._read(term.scalar), self._read(term.post))
            if term.pre is not None:
                value = times(value, Load(self._input(term)))
            total = simplify(Apply("add", (total, value if value is not None else Const(1.0))))
        return total

    def _read(self, expr: Expr | None) -> Expr | None:
        """A value of the unit as it is at the end of the step."""
        if expr is None:
            return None

        def visit(node: Expr) -> Expr | None:
            if isinstance(node, Ref) and own(self.rule, node):
                return Local(node.path) if node.path in self.bound else Load(self._state(node.path))
            if isinstance(node, Ref | Reduce | Index):
                ops, value = self.read(self.projection.post, node, 0)
                self.ops += ops
                return value
            return None

        return transform(self._written_out(expr), visit)

    def _written_out(self, expr: Expr) -> Expr:
        """The value with what only differentiation named written out, so that of several slopes
        that follow from one another a single one is kept of each step."""
        body = self.context.network.populations[self.projection.post].body
        made: dict[str, tuple[int, Expr]] = {}
        for number, statement in enumerate(body):
            if isinstance(statement, Assign):
                made[statement.target] = number, statement.value

        def visit(node: Expr) -> Expr | None:
            if not isinstance(node, Ref) or node.time not in (NOW, SETTLED):
                return None
            return _again(self.context, made, node.path, len(body), ())

        return transform(expr, visit)

    def _input(self, term: Term) -> str:
        """What a presynaptic factor enters: a delivery through weights that count for nothing."""
        assert term.pre is not None
        known = self.context.transposed[self.projection.name].inputs
        key = (term.pre, term.synapse)
        name, post = self.projection.name, self.projection.post
        if key not in known:
            known[key] = self._imagined(f"{name}.arrives", Place.UNIT, post), self._through()
        target, through = known[key]
        if not any(target in op.writes for op in self.deliveries):
            self.deliveries.append(self._delivery(term.pre, through, target))
        return target

    def _through(self) -> str:
        name = self.projection.name
        return self.context.scratch(f"{name}.through", Place.SYNAPSE, name, _WHY)

    def _delivery(self, pre: Expr, through: str, target: str) -> Propagate:
        sender = self.projection.pre
        ops, value = self.read(sender, pre, self.projection.delay)
        self.ops += ops
        if not self._sent(value):
            held = self.context.scratch(f"{sender}.factor", Place.UNIT, sender, _WHY)
            self.ops.append(Elementwise(sender, (Store(held, value),), label=held))
            value = Load(held)
        assert isinstance(value, Load) and isinstance(value.ago, int)
        return Propagate(
            self.projection.name,
            through,
            value.buffer,
            target,
            Const(-1.0),  # a sweep tells of the change, which is minus the slope
            accumulate=False,
            binary=self.context.buffers[value.buffer].type is Type.BOOL,
            ago=value.ago,
            pre_slice=self.projection.pre_slice,
            post_slice=self.projection.post_slice,
            span=self.rule.learn_span or self.rule.span,
        )

    def _sent(self, value: Expr) -> bool:
        """Is a value what a buffer holds for each unit of each sample?"""
        if not isinstance(value, Load) or not isinstance(value.ago, int):
            return False
        return self.context.buffers[value.buffer].place is Place.UNIT


def _before(context: Context, expr: Expr) -> Expr:
    """The value of the step before."""

    def visit(node: Expr) -> Expr | None:
        moves = isinstance(node, Ref) and context.variable(node.path).slope
        return replace(node, time=PREV) if moves and isinstance(node, Ref) else None

    return transform(expr, visit)


def _again(
    context: Context, made: Made, path: str, place: int, outer: tuple[str, ...]
) -> Expr | None:
    """What a slope is made of, as it stands at a place of the body; None if of more than slopes, or
    of such as only the body knows."""
    if not context.variable(path).slope or path in outer or path not in made:
        return None
    at, value = made[path]
    if at >= place:  # of the step before, if it is made further down
        return None
    read = [ref for ref in refs(value) if context.variable(ref.path).kind is not Kind.PARAM]
    if not read or any(not context.variable(ref.path).slope or ref.time != NOW for ref in read):
        return None

    def visit(node: Expr) -> Expr | None:
        if not isinstance(node, Ref) or not context.variable(node.path).slope:
            return None
        known = made.get(node.path)
        if known is None or known[0] >= at:
            held = _again(context, made, node.path, known[0] + 1 if known else 0, (*outer, path))
            return _before(context, held or node)
        return _again(context, made, node.path, at, (*outer, path)) or node

    found = transform(value, visit)
    private = any(context.variable(ref.path).kind is Kind.LET for ref in refs(found))
    return None if private else found
