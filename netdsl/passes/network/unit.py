"""A network read statement by statement, for one unit and the synapses onto it, in Python numbers.

What a unit's statements and its rules' mean, without any backend: for comparing values of a rule on
random numbers, and as an oracle in tests.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from netdsl.ir.expr import PREV, Apply, Const, Custom, Expr, Index, Reduce, Ref
from netdsl.ir.functions import FUNCTIONS
from netdsl.ir.network import Assign, Draw, DrawAssign, Spike, Statement, Variable

Numbers = dict[str, float]
Unknown = Callable[[Ref], float]
Drawn = Callable[[str, tuple[float, ...]], float]  # by distribution and arguments


@dataclass
class Reading:
    """The values of one unit or synapse; `before` are those at the start of the step.

    `others` gives what is not among `variables`, and `draws` what a draw of some arguments is.
    """

    variables: Mapping[str, Variable]
    others: Unknown
    draws: Drawn
    now: Numbers = field(default_factory=dict)
    before: Numbers = field(default_factory=dict)

    def reset(self) -> None:
        """Start values, 0 where there are none; parameters are drawn."""
        for path, variable in self.variables.items():
            if variable.definition is None:
                init = variable.init
                if isinstance(init, Draw):
                    self.now[path] = self.drawn(init)
                else:
                    self.now[path] = self.value(init) if init is not None else 0.0
        self.before = dict(self.now)

    def drawn(self, draw: Draw) -> float:
        """One draw."""
        return self.draws(draw.distribution, tuple(self.value(arg) for arg in draw.args))

    def step(self, statements: tuple[Statement, ...]) -> None:
        """All statements, one after the other."""
        self.before = dict(self.now)
        for statement in statements:
            self.assign(statement)

    def assign(self, statement: Statement) -> None:
        """One statement, without equations."""
        if isinstance(statement, DrawAssign):
            self.now[statement.target] = self.drawn(statement.draw)
        elif isinstance(statement, Spike):
            self.now[statement.target] = float(self.value(statement.condition))
        else:
            assert isinstance(statement, Assign)
            self.now[statement.target] = self.value(statement.value)

    def value(self, expr: Expr) -> float:
        """An expression's value now."""
        if isinstance(expr, Const):
            return float(expr.value)
        if isinstance(expr, Custom):
            return self.value(expr.value)
        if isinstance(expr, Apply):
            return self._applied(expr)
        if isinstance(expr, Reduce):
            return self.value(expr.body)  # a population of one
        if isinstance(expr, Index):
            return float(expr.side == "pre")  # the two ends are not the same unit
        assert isinstance(expr, Ref)
        return self._read(expr)

    def _applied(self, expr: Apply) -> float:
        if expr.function == "select":
            return self.value(expr.args[1] if self.value(expr.args[0]) else expr.args[2])
        return float(FUNCTIONS[expr.function].fold(*(self.value(arg) for arg in expr.args)))

    def _read(self, ref: Ref) -> float:
        variable = self.variables.get(ref.path)
        if variable is not None and variable.definition is not None:
            return self._defined(variable.definition, ref)
        values = self.before if ref.time == PREV else self.now
        return values[ref.path] if ref.path in values else self.others(ref)

    def _defined(self, definition: Expr, ref: Ref) -> float:
        if ref.time != PREV:
            return self.value(definition)
        past = Reading(self.variables, self.others, self.draws, self.before, self.before)
        return past.value(definition)
