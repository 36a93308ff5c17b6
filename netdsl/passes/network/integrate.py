"""Equations become assignments: each `integrate` statement by the steps of its method."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from netdsl.ir.algebra.integrate import IntegrationError, integrate
from netdsl.ir.expr import Expr, Ref, transform
from netdsl.ir.network import (
    Assign,
    Integrate,
    Kind,
    Network,
    Place,
    Population,
    Projection,
    Statement,
    Variable,
)
from netdsl.passes.errors import LoweringError


def integrated(network: Network) -> Network:
    """Equations become the assignments that advance them by a step."""
    populations = {name: _population(held) for name, held in network.populations.items()}
    projections = {name: _projection(held) for name, held in network.projections.items()}
    return replace(network, populations=populations, projections=projections)


def _population(population: Population) -> Population:
    lets = Variable("", Kind.LET, Place.UNIT, owner=population.name)
    body, made, notes = _statements(population.body, lets)
    if not notes:
        return population
    variables = {**population.variables, **made}
    return replace(population, variables=variables, body=body, notes=tuple(notes))


def _projection(projection: Projection) -> Projection:
    rule = projection.rule
    if rule is None or not any(isinstance(s, Integrate) for s in rule.statements):
        return projection
    lets = Variable("", Kind.LET, Place.ROW_SYNAPSE, owner=projection.name)
    body, made, _ = _statements(rule.statements, lets)
    variables = {**rule.variables, **made}

    def visit(node: Expr) -> Expr | None:
        own = isinstance(node, Ref) and node.path in variables
        return replace(node, side="synapse") if own and isinstance(node, Ref) else None

    body = tuple(replace(s, value=transform(s.value, visit)) for s in body if isinstance(s, Assign))
    return replace(projection, rule=replace(rule, variables=variables, statements=body))


def _statements(
    statements: Iterable[Statement], let: Variable
) -> tuple[tuple[Statement, ...], dict[str, Variable], list[str]]:
    """Statements without equations, the `let`s that their methods need, and what was chosen."""
    body: list[Statement] = []
    lets: dict[str, Variable] = {}
    notes: list[str] = []
    for statement in statements:
        if not isinstance(statement, Integrate):
            body.append(statement)
            continue
        try:
            done = integrate(statement)
        except IntegrationError as problem:
            span = getattr(problem.term, "span", None) or statement.span
            raise LoweringError("E0405", problem.message, span, problem.help) from None
        states = ", ".join(path for path, _ in statement.equations)
        notes.append(f"{states}: integrated with {done.method} ({done.why})")
        body += done.statements
        lets |= {path: replace(let, path=path) for path in done.lets}
    return tuple(body), lets, notes
