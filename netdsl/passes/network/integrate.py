"""Equations become assignments: each `integrate` statement by the steps of its method."""

from __future__ import annotations

from dataclasses import replace

from netdsl.ir.algebra.integrate import IntegrationError, integrate
from netdsl.ir.network import Integrate, Kind, Network, Place, Population, Statement, Variable
from netdsl.passes.errors import LoweringError


def integrated(network: Network) -> Network:
    """Equations become the assignments that advance them by a step."""
    populations = {name: _population(held) for name, held in network.populations.items()}
    return replace(network, populations=populations)


def _population(population: Population) -> Population:
    body: list[Statement] = []
    lets: dict[str, Variable] = {}
    notes: list[str] = []
    for statement in population.body:
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
        for path in done.lets:
            lets[path] = Variable(path, Kind.LET, Place.UNIT, owner=population.name)
    if not notes:
        return population
    variables = {**population.variables, **lets}
    return replace(population, variables=variables, body=tuple(body), notes=tuple(notes))
