"""Which values the variables of a population have in the course of one step.

A variable has another value behind each statement that assigns it, and a definition wherever one of
what it reads has. Equations are what their integrator makes of them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from netdsl.diagnostics.span import Span
from netdsl.ir.algebra.integrate import IntegrationError, integrate
from netdsl.ir.expr import NOW, SETTLED, Apply, Expr, Reduce, Ref, refs, transform
from netdsl.ir.network import Assign, DrawAssign, Integrate, Kind, Spike, Statement, Variable

Key = tuple[object, int]  # a variable's path, or a reduction, and which value of it


class NoAdjoint(Exception):
    """A way from the one value to the other that has no derivative; `span` is what stops it."""

    def __init__(self, message: str, span: Span | None, help: str | None = None) -> None:
        super().__init__(message)
        self.message, self.span, self.help = message, span, help


@dataclass(frozen=True)
class Step:
    """A statement; `index`: of the statement of the body that it is, or is part of."""

    statement: Assign | DrawAssign | Spike
    index: int


@dataclass
class History:
    """The statements of a step. Raises NoAdjoint for an integrator that does not fit.

    `known`: numbers of values, so that equal ones have the same.
    """

    variables: Mapping[str, Variable]
    body: tuple[Statement, ...]
    known: dict[object, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.steps = list(self._unrolled())
        self.assigned: dict[str, list[int]] = {}
        for at, step in enumerate(self.steps):
            self.assigned.setdefault(step.statement.target, []).append(at)
        self._versions: dict[tuple[str, int], int] = {}

    def _unrolled(self) -> Iterator[Step]:
        for index, statement in enumerate(self.body):
            if not isinstance(statement, Integrate):
                yield Step(statement, index)
                continue
            try:
                done = integrate(statement)
            except IntegrationError as problem:
                raise NoAdjoint(problem.message, statement.span, problem.help) from None
            own = {path: f"{path} of {index}" for path in done.lets}
            for part in done.statements:
                value = _renamed(part.value, own)
                yield Step(Assign(own.get(part.target, part.target), value, part.span), index)

    def key(self, path: str, at: int) -> Key:
        """The value that a variable has in front of step `at`."""
        return path, self.version(path, at)

    def version(self, path: str, at: int) -> int:
        """The number of that value."""
        if (path, at) not in self._versions:
            read = self.definition(path)
            seen: object = path, bisect_left(self.assigned.get(path, []), at)
            if read is not None:
                seen = tuple(self.version(ref.path, at) for ref in reads(read))
            self._versions[path, at] = self.known.setdefault((path, seen), len(self.known))
        return self._versions[path, at]

    def definition(self, path: str) -> Expr | None:
        """What a definition stands for; None for another variable."""
        variable = self.variables.get(path)
        return variable.definition if variable is not None and variable.kind is Kind.DEF else None

    def made(self, path: str, at: int) -> tuple[Expr, int] | None:
        """What a value is computed from, and in front of which step; None for a constant."""
        read = self.definition(path)
        if read is not None:
            return read, at
        earlier = bisect_left(self.assigned.get(path, []), at)
        if earlier == 0:
            return None
        where = self.assigned[path][earlier - 1]
        statement = self.steps[where].statement
        if isinstance(statement, Assign):
            return statement.value, where
        if isinstance(statement, Spike):
            return statement.margin, where
        return Reduce("draw", "", Apply("draw", statement.draw.args), statement.span), where


def reads(expr: Expr) -> list[Ref]:
    """Reads of present values of the own neuron and population."""
    own = (ref for ref in refs(expr) if ref.side == "own" and not ref.slot)
    return [ref for ref in own if ref.time in (NOW, SETTLED)]


def _renamed(expr: Expr, names: Mapping[str, str]) -> Expr:
    def visit(node: Expr) -> Expr | None:
        return Ref(names[node.path]) if isinstance(node, Ref) and node.path in names else None

    return transform(expr, visit)
