"""E0202: a draw whose arguments are constants out of range, through definitions and parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from netdsl.checks.e0421_stability import written_out
from netdsl.dataflow.walk import walk_population
from netdsl.diagnostics import NO_SPAN, Diagnostic
from netdsl.ir.algebra.simplify import simplify
from netdsl.ir.distributions import faults
from netdsl.ir.expr import Const, Expr
from netdsl.ir.network import Draw, Kind, Network, Population, Variable


def check(network: Network) -> Iterator[Diagnostic]:
    """Every draw of a cell, at start or at each step, whose arguments can be computed now."""
    for population in network.populations.values():
        for draw, known in _draws(population):
            args = [simplify(written_out(arg, known)) for arg in draw.args]
            constants = {k: arg.value for k, arg in enumerate(args) if isinstance(arg, Const)}
            for fault, bad in faults(draw.distribution, constants):
                if bad:
                    yield Diagnostic("E0202", fault.message, draw.span or NO_SPAN, (), fault.help)


def _draws(population: Population) -> Iterator[tuple[Draw, Mapping[str, Expr]]]:
    """Draws with the definitions, parameters of one value and `let`s above each."""
    variables = population.variables
    known = {path: value for path, value in map(_fixed, variables.values()) if value is not None}
    last: Draw | None = None
    for flow in walk_population(population):
        if flow.draw is not None and flow.draw is not last:
            yield flow.draw, dict(known)
        elif flow.kind == "statement" and variables[flow.target].kind is Kind.LET:
            # Only constants are asked for; written out, each `let` may be twice the one before.
            value = simplify(written_out(flow.expr, known))
            if isinstance(value, Const):
                known[flow.target] = value
            else:
                known.pop(flow.target, None)
        last = flow.draw


def _fixed(variable: Variable) -> tuple[str, Expr | None]:
    """What a variable stands for at all times."""
    if variable.kind is Kind.PARAM and isinstance(variable.init, Expr):
        return variable.path, variable.init
    return variable.path, variable.definition
