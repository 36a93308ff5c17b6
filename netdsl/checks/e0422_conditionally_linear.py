"""E0422: `integrate with expeuler` of an equation that is not linear in its own state."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.checks.linear import systems
from netdsl.diagnostics import NO_SPAN, Diagnostic, Label
from netdsl.ir.expr import span_of
from netdsl.ir.network import Network


def check(network: Network) -> Iterator[Diagnostic]:
    """Exponential Euler holds the other states and solves each equation for its own."""
    for system in systems(network):
        statement = system.statement
        if statement.method != "expeuler":
            continue
        for path, rate in statement.equations:
            term = system.nonlinear(rate, (path,))
            if term is not None:
                name = path.rsplit(".", 1)[-1]
                chosen = statement.span
                labels = (Label(chosen, "asks for exponential Euler"),) if chosen else ()
                yield Diagnostic(
                    "E0422",
                    f"exponential Euler needs the equation of `{name}` to be linear in `{name}`",
                    span_of(term) or chosen or NO_SPAN,
                    labels,
                    "integrate with `auto`, `euler` or `rk4`",
                    note=f"not linear in `{name}`",
                )
