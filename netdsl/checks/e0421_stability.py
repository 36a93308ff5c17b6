"""E0421 (warning): an explicit integrator that diverges at this `dt`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from netdsl.diagnostics import NO_SPAN, Diagnostic
from netdsl.ir.algebra.derivative import DerivativeError, derivative
from netdsl.ir.algebra.simplify import simplify
from netdsl.ir.expr import NOW, Const, Expr, Ref, refs, transform
from netdsl.ir.network import Assign, Integrate, Kind, Network, Statement, Variable

# Growth per step of x' = λx as a polynomial of z = λ dt (lowest power first).
GROWTH = {"euler": (1.0, 1.0), "rk4": (1.0, 1.0, 1 / 2, 1 / 6, 1 / 24)}

_MOST = 10_000  # operations of an equation that is looked into


def check(network: Network) -> Iterator[Diagnostic]:
    """Decaying solutions of linear systems with constant coefficients must decay step by step."""
    seen: set[object] = set()
    for variables, body in _bodies(network):
        for statement, definitions in _systems(variables, body):
            place = statement.span or statement
            if place in seen or statement.method not in GROWTH:
                continue
            seen.add(place)
            for value in eigenvalues(statement, definitions):
                z = value * statement.dt
                growth = abs(sum(c * z**n for n, c in enumerate(GROWTH[statement.method])))
                if value.real < 0 and growth > 1 + 1e-9:
                    yield _warning(statement, value, growth)
                    break


def _warning(statement: Integrate, value: complex, growth: float) -> Diagnostic:
    names = ", ".join(f"`{path.rsplit('.', 1)[-1]}`" for path, _ in statement.equations)
    return Diagnostic(
        "E0421",
        f"`{statement.method}` diverges for {names}: its error grows {growth:.3g} times a step "
        f"(time constant {-1 / value.real:.3g} s, dt {statement.dt:.3g} s)",
        statement.span or NO_SPAN,
        (),
        "use a smaller `dt`, or `integrate … with exact` or `expeuler`",
        "warning",
    )


def _bodies(network: Network) -> Iterator[tuple[Mapping[str, Variable], Iterable[Statement]]]:
    """The statements of every cell and rule, with their variables."""
    for population in network.populations.values():
        yield population.variables, population.body
    for projection in network.projections.values():
        if projection.rule is not None:
            yield projection.rule.variables, projection.rule.statements


def _systems(
    variables: Mapping[str, Variable], body: Iterable[Statement]
) -> Iterator[tuple[Integrate, Mapping[str, Expr]]]:
    """Each `integrate` line with the definitions and the `let`s above it."""
    known: dict[str, Expr] = {
        v.path: v.definition for v in variables.values() if v.definition is not None
    }
    for statement in body:
        if isinstance(statement, Assign):
            variable = variables.get(statement.target)
            if variable is not None and variable.kind is Kind.LET:
                known[statement.target] = statement.value
        elif isinstance(statement, Integrate):
            yield statement, dict(known)


def _extent(expr: Expr, definitions: Mapping[str, Expr], known: dict[str, int]) -> int:
    """The size of an expression with the definitions that it reads in their places."""
    size = expr.size
    for ref in refs(expr):
        if ref.path in definitions:
            if ref.path not in known:
                known[ref.path] = _extent(definitions[ref.path], definitions, known)
            size += known[ref.path]
    return size


def written_out(expr: Expr, definitions: Mapping[str, Expr]) -> Expr:
    """An expression with the definitions that it reads now put in their places."""

    def visit(node: Expr) -> Expr | None:
        if isinstance(node, Ref) and node.time == NOW and node.path in definitions:
            return transform(definitions[node.path], visit)
        return None

    return transform(expr, visit)


def eigenvalues(statement: Integrate, definitions: Mapping[str, Expr]) -> tuple[complex, ...]:
    """Eigenvalues (1/s) of a system with constant coefficients; empty if they are not constant."""
    states = [path for path, _ in statement.equations]
    rows: list[list[float]] = []
    for _, rate in statement.equations:
        if _extent(rate, definitions, {}) > _MOST:
            return ()
        try:
            written = written_out(rate, definitions)
            row = [simplify(derivative(written, state)) for state in states]
        except DerivativeError:
            return ()
        constants = [float(slope.value) for slope in row if isinstance(slope, Const)]
        if len(constants) != len(row):
            return ()
        rows.append(constants)
    if all(rows[i][j] == 0 for i in range(len(rows)) for j in range(i)):
        return tuple(complex(rows[i][i]) for i in range(len(rows)))  # triangular
    import numpy as np

    return tuple(complex(value) for value in np.linalg.eigvals(np.array(rows)))
