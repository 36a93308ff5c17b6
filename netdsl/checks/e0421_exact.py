"""E0421: `integrate with exact` of equations that are not linear."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.checks.linear import systems
from netdsl.diagnostics import NO_SPAN, Diagnostic, Label
from netdsl.ir.expr import span_of
from netdsl.ir.network import Network


def check(network: Network) -> Iterator[Diagnostic]:
    """An exact solution is offered for systems that are linear in their states together."""
    for system in systems(network):
        statement = system.statement
        if statement.method != "exact":
            continue
        for path, rate in statement.equations:
            term = system.nonlinear(rate, system.states)
            if term is not None:
                name = path.rsplit(".", 1)[-1]
                chosen = statement.span
                labels = (Label(chosen, "asks for an exact solution"),) if chosen else ()
                yield Diagnostic(
                    "E0421",
                    f"the equation of `{name}` has no exact solution here: it is not linear",
                    span_of(term) or chosen or NO_SPAN,
                    labels,
                    "integrate with `auto`, `expeuler` or `rk4`",
                    note="not linear in the states of this system",
                )
