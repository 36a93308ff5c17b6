"""Linearity of right-hand sides in the states that are advanced together."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from netdsl.ir.expr import NOW, Apply, Const, Expr, Ref, children, refs
from netdsl.ir.network import Assign, Integrate, Kind, Network, Population


@dataclass(frozen=True)
class System:
    """The equations of one `integrate` line with the `let`s and `def`s that they may read."""

    population: Population
    statement: Integrate
    definitions: Mapping[str, Expr] = field(default_factory=dict)

    @property
    def states(self) -> tuple[str, ...]:
        """Paths of the states advanced together."""
        return tuple(path for path, _ in self.statement.equations)

    def depends(self, expr: Expr, states: Collection[str]) -> bool:
        """Whether an expression reads one of `states` now, also through a `let` or a `def`."""
        for ref in refs(expr):
            if ref.path in states and ref.time == NOW:
                return True
            inner = self.definitions.get(ref.path)
            if inner is not None and ref.time == NOW and self.depends(inner, states):
                return True
        return False

    def nonlinear(self, expr: Expr, states: Collection[str]) -> Expr | None:
        """The smallest term of an expression that is not affine in `states`, None if all are."""
        if not self.depends(expr, states):
            return None
        if isinstance(expr, Ref):
            inner = self.definitions.get(expr.path)
            if expr.path in states or inner is None:
                return None
            return expr if self.nonlinear(inner, states) is not None else None
        for child in children(expr):
            found = self.nonlinear(child, states)
            if found is not None:
                return found
        return None if self._keeps_linear(expr, states) else expr

    def _keeps_linear(self, expr: Expr, states: Collection[str]) -> bool:
        if not isinstance(expr, Apply):
            return False
        moving = [self.depends(arg, states) for arg in expr.args]
        if expr.function in ("add", "sub", "neg"):
            return True
        if expr.function == "mul":
            return sum(moving) == 1
        if expr.function == "div":
            return not moving[1]
        if expr.function == "select":
            return not moving[0]
        return False

    def coefficient(self, expr: Expr, state: str) -> float | None:
        """The constant factor of `state` in an affine expression; None if it is not constant."""
        if not self.depends(expr, (state,)):
            return 0.0
        if isinstance(expr, Ref):
            inner = self.definitions.get(expr.path)
            return 1.0 if expr.path == state or inner is None else self.coefficient(inner, state)
        if not isinstance(expr, Apply):
            return None
        parts = [self.coefficient(arg, state) for arg in expr.args]
        return self._combine(expr, parts, state)

    def _combine(self, expr: Apply, parts: list[float | None], state: str) -> float | None:
        name, args = expr.function, expr.args
        if name == "neg":
            return None if parts[0] is None else -parts[0]
        if name not in ("add", "sub", "mul", "div") or parts[0] is None or parts[1] is None:
            return None
        if name in ("add", "sub"):
            return parts[0] + parts[1] if name == "add" else parts[0] - parts[1]
        moving, other = (0, 1) if self.depends(args[0], (state,)) else (1, 0)
        factor = constant(args[other])
        inner = parts[moving]
        if factor is None or inner is None or (name == "div" and (moving == 1 or factor == 0)):
            return None
        return inner / factor if name == "div" else inner * factor


def constant(expr: Expr) -> float | None:
    """The value of an expression of literals, None if it reads anything."""
    if isinstance(expr, Const):
        return float(expr.value)
    if not isinstance(expr, Apply):
        return None
    values = [constant(arg) for arg in expr.args]
    known = [value for value in values if value is not None]
    if len(known) != len(values):
        return None
    try:
        return _arithmetic(expr.function, known)
    except (ZeroDivisionError, OverflowError):
        return None


def _arithmetic(name: str, values: list[float]) -> float | None:
    first, second = values[0], values[-1]
    if name == "neg":
        return -first
    if name == "add":
        return first + second
    if name == "sub":
        return first - second
    if name == "mul":
        return first * second
    if name == "div":
        return first / second
    return None


def systems(network: Network) -> Iterator[System]:
    """Every `integrate` line of the network; cells shared by populations come once."""
    seen: set[object] = set()
    for population in network.populations.values():
        definitions: dict[str, Expr] = {
            v.path: v.definition for v in population.variables.values() if v.definition is not None
        }
        for statement in population.body:
            if isinstance(statement, Assign) and _is_let(population, statement.target):
                definitions[statement.target] = statement.value
            if isinstance(statement, Integrate):
                place = statement.span or statement
                if place not in seen:
                    seen.add(place)
                    yield System(population, statement, dict(definitions))


def _is_let(population: Population, path: str) -> bool:
    variable = population.variables.get(path)
    return variable is not None and variable.kind is Kind.LET
