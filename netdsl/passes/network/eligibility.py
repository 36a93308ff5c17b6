"""Eligibilities become states of their rules: each step takes the tangents of the unit's states
on, linearly, with coefficients that the unit's own body computes once for all of its synapses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from netdsl.dataflow.walk import walk_host, walk_rule
from netdsl.ir.algebra.build import ONE, ZERO, plus, times
from netdsl.ir.algebra.entries import Entries, at_synapse
from netdsl.ir.algebra.simplify import simplify
from netdsl.ir.algebra.tangent import Form, NoTangent, Step, tangents
from netdsl.ir.expr import PREV, Const, Expr, Ref, refs
from netdsl.ir.network import (
    Assign,
    Eligibility,
    Kind,
    Network,
    Place,
    Population,
    Projection,
    Rule,
    Variable,
)
from netdsl.passes.errors import LoweringError

CODE = "E0434"
_AT_UPDATE = ("dw", "subtract")  # sections of a rule that run at its clock


def eligible(network: Network) -> Network:
    """Eligibilities become states of rules, by derivatives of the cells' own statements."""
    populations, projections = dict(network.populations), dict(network.projections)
    for name, population in network.populations.items():
        learning = [p for p in projections.values() if p.post == name and _eligibilities(p)]
        if not learning:
            continue
        unit = _Unit(network, population)
        for projection in learning:
            projections[projection.name] = unit.derived(projection)
        populations[name] = unit.population()
    return replace(network, populations=populations, projections=projections)


def _eligibilities(projection: Projection) -> tuple[Eligibility, ...]:
    return projection.rule.eligibilities if projection.rule is not None else ()


class _Unit:
    """One population, with what the rules of all projections onto it need of its slopes."""

    def __init__(self, network: Network, population: Population) -> None:
        self.network, self.held = network, population
        self.entries = Entries(population.name, population.variables)
        self.steps: dict[tuple[frozenset[str], str], Step] = {}
        self.wanted: dict[str, None] = {}

    def population(self) -> Population:
        """The population, computing the slopes that were asked for."""
        body = self.entries.body(self.held.body, self.wanted)
        declared = self.entries.declared(self.wanted)
        return replace(self.held, body=body, variables={**self.held.variables, **declared})

    def derived(self, projection: Projection) -> Projection:
        """A projection whose rule has states in the place of its eligibilities."""
        rule = projection.rule
        assert rule is not None
        variables, statements = dict(rule.variables), []
        for eligibility in rule.eligibilities:
            made = self._states(eligibility, rule)
            variables |= made.variables
            statements += made.statements
        whole = (*statements, *rule.statements)
        return replace(
            projection,
            rule=replace(rule, variables=variables, statements=whole, eligibilities=()),
        )

    def _states(self, eligibility: Eligibility, rule: Rule) -> _Made:
        step = self._step(eligibility)
        made = _Made(eligibility, rule, dict(eligibility.factors))
        made.build(step)
        for statement in made.statements:
            for ref in refs(statement.value):
                if ref.path in self.entries.named:
                    self.wanted[ref.path] = None
        return made

    def _step(self, eligibility: Eligibility) -> Step:
        inputs = frozenset(path for path, _ in eligibility.factors)
        key = (inputs, eligibility.target)
        if key not in self.steps:
            try:
                step = tangents(self.held, inputs, eligibility.target, self.entries)
            except NoTangent as problem:
                at = problem.span or eligibility.span
                raise LoweringError(CODE, problem.message, at, problem.help) from None
            self._untouched(step, eligibility, inputs)
            self.steps[key] = step
        return self.steps[key]

    def _untouched(self, step: Step, eligibility: Eligibility, inputs: frozenset[str]) -> None:
        """Nobody but the cell's own statements assigns to what the derivative goes through."""
        if not step.output:
            name = eligibility.target.rsplit(".", 1)[-1]
            raise LoweringError(
                CODE,
                f"nothing that this synapse delivers moves `post.{name}`: the eligibility is 0",
                eligibility.span,
                "name a variable of the post cell that its input reaches",
            )
        others = [("on phase", a.target, a.span) for a in self.held.on_phase]
        others += [
            (flow.kind, flow.target, flow.span)
            for flow in walk_host(self.network)
            if flow.kind in ("clamp", "set")
        ]
        for how, target, span in others:
            if target in step.touched and target not in inputs:
                raise LoweringError(
                    CODE,
                    f"`{target}` is in an eligibility's path, and `{how}` gives it another value",
                    span,
                    "an eligibility follows the statements of the cell; `reset` sets it to 0",
                )


@dataclass
class _Made:
    """The states and statements that stand for one eligibility."""

    eligibility: Eligibility
    rule: Rule
    factors: Mapping[str, Expr]
    same: str = ""  # the state whose tangent is the eligibility itself

    def build(self, step: Step) -> None:
        """Fill in `variables` and `statements`."""
        self.variables: dict[str, Variable] = {}
        self.statements: list[Assign] = []
        if step.new and list(step.output.values()) == [ONE]:  # the tangent of a state
            self.same = next(iter(step.output))
            self._advance({of: self._sum(form) for of, form in step.states.items()})
            return
        output = Assign(self.eligibility.variable, self._sum(step.output), self.eligibility.span)
        self._declare(self.eligibility.variable, Kind.STATE if self._kept() else Kind.LET)
        if not step.new:
            self.statements.append(output)
        self._advance({of: self._sum(form) for of, form in step.states.items()})
        if step.new:
            self.statements.append(output)

    def _advance(self, values: Mapping[str, Expr]) -> None:
        """All states take their new values together."""
        late: list[Assign] = []
        left = dict(values)
        for of, value in values.items():
            del left[of]
            path, span = self._path(of), self.eligibility.span
            self._declare(path, Kind.STATE)
            if any(path in (ref.path for ref in refs(other)) for other in left.values()):
                new = f"{path}@new"
                self._declare(new, Kind.LET)
                self.statements.append(Assign(new, value, span))
                late.append(Assign(path, Ref(new, "synapse"), span))
            else:
                self.statements.append(Assign(path, value, span))
        self.statements += late

    def _sum(self, form: Form) -> Expr:
        total: Expr = ZERO
        for of, slope in form.items():
            own = self.factors.get(of, Ref(self._path(of), "synapse"))
            total = plus(total, times(at_synapse(slope), own))
        return simplify(total)

    def _path(self, of: str) -> str:
        if of == self.same:
            return self.eligibility.variable
        return f"{self.eligibility.variable}.{of.split('.', 1)[-1]}"

    def _declare(self, path: str, kind: Kind) -> None:
        self.variables[path] = Variable(
            path,
            kind,
            Place.ROW_SYNAPSE,
            owner=self.rule.projection,
            init=Const(0.0) if kind is Kind.STATE else None,
            span=self.eligibility.span,
        )

    def _kept(self) -> bool:
        """Is it read behind its step, so that it must be a state?"""
        path, late = self.eligibility.variable, self.rule.clock == "update"
        return any(
            ref.path == path and (ref.time == PREV or (late and flow.section in _AT_UPDATE))
            for flow in walk_rule(self.rule)
            for ref in flow.sources
        )
