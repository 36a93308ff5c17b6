"""Choose and apply an integrator: `d x/dt` systems become ordinary assignments.

All equations of one `integrate` statement advance together, inputs held over the step.

* euler: x + dt f(x)
* exact: linear equations with constant coefficients, x' = A x + b, by the matrix exponential of
  the augmented matrix, exact for held b also when A is singular
* expeuler: each equation linear in its own state, the others held
* rk4: the classical fourth-order method
"""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.ir.algebra.derivative import derivative
from netdsl.ir.algebra.simplify import simplify
from netdsl.ir.expr import Apply, Const, Custom, Expr, Ref, refs, transform, walk
from netdsl.ir.network import Assign, Integrate


class IntegrationError(Exception):
    """The requested method does not fit the equations; `term` is where."""

    def __init__(self, message: str, term: Expr | None, help: str | None = None) -> None:
        super().__init__(message)
        self.message, self.term, self.help = message, term, help


@dataclass(frozen=True)
class Integrated:
    """Assignments that advance the system, the method used and why."""

    statements: tuple[Assign, ...]
    lets: tuple[str, ...]  # targets among the statements that are intermediate values
    method: str
    why: str


def integrate(statement: Integrate) -> Integrated:
    """Assignments for one `integrate` statement. Raises IntegrationError."""
    _whole(statement)
    method, why = statement.method, "as written"
    if method == "auto":
        method, why = choose(statement)
    build = {"euler": _euler, "exact": _exact, "expeuler": _expeuler, "rk4": _rk4}[method]
    statements, lets = build(statement)
    return Integrated(tuple(statements), tuple(lets), method, why)


def choose(statement: Integrate) -> tuple[str, str]:
    """The method that `auto` stands for, with the reason."""
    if nonlinear_term(statement) is None:
        return "exact", "linear with constant coefficients"
    own = all(not _reads(derivative(rhs, path), {path}) for path, rhs in statement.equations)
    if own:
        return "expeuler", "each equation is linear in its own state"
    return "rk4", "non-linear"


def nonlinear_term(statement: Integrate) -> Expr | None:
    """The first term that is not linear with constant coefficients, or None."""
    states = {path for path, _ in statement.equations}
    coupled = len(statement.equations) > 1
    for _, rhs in statement.equations:
        if not _linear(rhs, states, coupled):
            return _smallest(rhs, states, coupled)
    return None


def _whole(statement: Integrate) -> None:
    """What is detached of a state is a constant to derivatives, which methods are made of."""
    states = {path for path, _ in statement.equations}
    for _, rhs in statement.equations:
        for node in walk(rhs):
            if isinstance(node, Custom) and _reads(node, states):
                raise IntegrationError(
                    "an equation cannot detach a state that it advances",
                    node,
                    "detach the value outside of the equations: `let held = detach(…)`",
                )


def _linear(expr: Expr, states: set[str], coupled: bool) -> bool:
    for state in states:
        slope = simplify(derivative(expr, state))
        if _reads(slope, states):
            return False
        if not isinstance(slope, Const) and (coupled or _varies(slope)):
            return False
    return True


def _smallest(expr: Expr, states: set[str], coupled: bool) -> Expr:
    """The smallest summand of a non-linear expression that is itself non-linear."""
    if isinstance(expr, Apply) and expr.function in ("add", "sub", "neg", "div"):
        for part in expr.args:
            if not _linear(part, states, coupled):
                return _smallest(part, states, coupled)
    return expr


def _varies(slope: Expr) -> bool:
    """Does a coefficient change within a run (anything but per-neuron parameters)?"""
    return any(node.time != "now" or not node.path for node in refs(slope))


def _reads(expr: Expr, paths: set[str]) -> bool:
    return any(node.path in paths for node in refs(expr))


Built = tuple[list[Assign], list[str]]


def _temporary(path: str, label: str) -> str:
    return f"{path}@{label}"


def _together(statement: Integrate, values: list[Expr]) -> Built:
    """Assign all states at once: values are computed from the old states first."""
    span = statement.span
    paths = [path for path, _ in statement.equations]
    if len(paths) == 1:
        return [Assign(paths[0], simplify(values[0]), span)], []
    lets = [_temporary(path, "new") for path in paths]
    statements = [Assign(let, simplify(v), span) for let, v in zip(lets, values, strict=True)]
    statements += [Assign(path, Ref(let), span) for path, let in zip(paths, lets, strict=True)]
    return statements, lets


def _plus(a: Expr, b: Expr) -> Expr:
    return Apply("add", (a, b))


def _times(a: Expr, b: Expr) -> Expr:
    return Apply("mul", (a, b))


def _euler(statement: Integrate) -> Built:
    dt = Const(statement.dt)
    return _together(
        statement, [_plus(Ref(path), _times(dt, rhs)) for path, rhs in statement.equations]
    )


def _expeuler(statement: Integrate) -> Built:
    values = []
    for path, rhs in statement.equations:
        slope = simplify(derivative(rhs, path))
        if _reads(slope, {path}):
            raise IntegrationError(
                "`expeuler` needs an equation that is linear in its own state",
                rhs,
                "write `integrate ... with rk4`, or `auto`",
            )
        values.append(_relax(path, rhs, slope, statement.dt))
    return _together(statement, values)


def _relax(path: str, rhs: Expr, slope: Expr, dt: float) -> Expr:
    """x exp(b dt) + a dt exprel(b dt) for x' = a + b x: exprel(k) = (exp(k) - 1) / k, 1 at 0."""
    rest = simplify(_at_zero(rhs, path))
    if isinstance(slope, Const) and slope.value == 0:
        return _plus(Ref(path), _times(Const(dt), rest))
    rate = simplify(_times(slope, Const(dt)))
    decay = simplify(Apply("exp", (rate,)))
    gain = simplify(_times(Const(dt), Apply("exprel", (rate,))))
    return _plus(_times(decay, Ref(path)), _times(gain, rest))


def _at_zero(expr: Expr, path: str) -> Expr:
    def visit(node: Expr) -> Expr | None:
        if isinstance(node, Ref) and node.path == path:
            return Const(0.0)
        return None

    return transform(expr, visit)


def _exact(statement: Integrate) -> Built:
    term = nonlinear_term(statement)
    if term is not None:
        raise IntegrationError(
            "`exact` needs linear equations with constant coefficients",
            term,
            "write `integrate ... with auto`: it picks exponential Euler or RK4",
        )
    if len(statement.equations) == 1:
        path, rhs = statement.equations[0]
        return _together(
            statement, [_relax(path, rhs, simplify(derivative(rhs, path)), statement.dt)]
        )
    return _together(statement, _propagated(statement))


def _propagated(statement: Integrate) -> list[Expr]:
    """Rows of exp(A dt) x + (integral of exp(A s) over the step) b."""
    import numpy as np
    from scipy.linalg import expm

    paths = [path for path, _ in statement.equations]
    n = len(paths)
    block = np.zeros((2 * n, 2 * n))
    rests = []
    for i, (_, rhs) in enumerate(statement.equations):
        rest = rhs
        for j, path in enumerate(paths):
            slope = simplify(derivative(rhs, path))
            assert isinstance(slope, Const)
            block[i, j] = float(slope.value)
            rest = _at_zero(rest, path)
        block[i, n + i] = 1.0
        rests.append(simplify(rest))
    flow = expm(block * statement.dt)
    values: list[Expr] = []
    for i in range(n):
        terms = [_times(Const(float(flow[i, j])), Ref(paths[j])) for j in range(n) if flow[i, j]]
        terms += [
            _times(Const(float(flow[i, n + j])), rests[j])
            for j in range(n)
            if flow[i, n + j] and rests[j] != Const(0.0)
        ]
        total: Expr = Const(0.0)
        for term in terms:
            total = _plus(total, term)
        values.append(simplify(total))
    return values


def _rk4(statement: Integrate) -> Built:
    dt = statement.dt
    paths = [path for path, _ in statement.equations]
    statements: list[Assign] = []
    lets: list[str] = []

    def stage(label: str, scale: float | None, previous: str) -> None:
        at: dict[str, Expr] = {}
        for path in paths:
            if scale is not None:
                step = _times(Const(scale * dt), Ref(_temporary(path, previous)))
                at[path] = _plus(Ref(path), step)
        for path, rhs in statement.equations:
            name = _temporary(path, label)
            lets.append(name)
            statements.append(Assign(name, simplify(_substitute(rhs, at)), statement.span))

    stage("k1", None, "")
    stage("k2", 0.5, "k1")
    stage("k3", 0.5, "k2")
    stage("k4", 1.0, "k3")
    for path in paths:
        k1, k2, k3, k4 = (Ref(_temporary(path, f"k{i}")) for i in range(1, 5))
        middle = _times(Const(2.0), _plus(k2, k3))
        slope = _plus(_plus(k1, middle), k4)
        new = _plus(Ref(path), _times(Const(dt / 6.0), slope))
        statements.append(Assign(path, simplify(new), statement.span))
    return statements, lets


def _substitute(expr: Expr, at: dict[str, Expr]) -> Expr:
    def visit(node: Expr) -> Expr | None:
        return at.get(node.path) if isinstance(node, Ref) else None

    return transform(expr, visit)
