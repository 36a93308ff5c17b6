"""E0423 (warning): an explicit integrator that diverges at this `dt`."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.checks.linear import System, systems
from netdsl.diagnostics import NO_SPAN, Diagnostic
from netdsl.ir.network import Network

# Growth per step of x' = λx as a polynomial of z = λ dt (lowest power first).
GROWTH = {"euler": (1.0, 1.0), "rk4": (1.0, 1.0, 1 / 2, 1 / 6, 1 / 24)}


def check(network: Network) -> Iterator[Diagnostic]:
    """Decaying solutions of constant linear systems must decay step by step."""
    for system in systems(network):
        method = system.statement.method
        values = eigenvalues(system) if method in GROWTH else ()
        for value in values:
            z = value * system.statement.dt
            growth = abs(sum(c * z**power for power, c in enumerate(GROWTH[method])))
            if value.real < 0 and growth > 1 + 1e-9:
                yield _warning(system, value, growth)
                break


def _warning(system: System, value: complex, growth: float) -> Diagnostic:
    statement = system.statement
    names = ", ".join(f"`{path.rsplit('.', 1)[-1]}`" for path in system.states)
    return Diagnostic(
        "E0423",
        f"`{statement.method}` diverges for {names}: its error grows {growth:.3g} times a step "
        f"(time constant {-1 / value.real:.3g} s, dt {statement.dt:.3g} s)",
        statement.span or NO_SPAN,
        (),
        "use a smaller `dt`, or `integrate … with exact` or `expeuler`",
        "warning",
    )


def eigenvalues(system: System) -> tuple[complex, ...]:
    """Eigenvalues (1/s) of a system with constant coefficients; empty if they are not constant."""
    states = system.states
    rows: list[list[float]] = []
    for _, rate in system.statement.equations:
        row = [system.coefficient(rate, state) for state in states]
        if any(value is None for value in row) or system.nonlinear(rate, states) is not None:
            return ()
        rows.append([value for value in row if value is not None])
    if all(rows[i][j] == 0 for i in range(len(rows)) for j in range(i)):
        return tuple(complex(rows[i][i]) for i in range(len(rows)))  # triangular
    import numpy as np

    return tuple(complex(value) for value in np.linalg.eigvals(np.array(rows)))
