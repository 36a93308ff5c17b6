"""Typed expressions, and the smart constructors that fold constants as they are built."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from netdsl.diagnostics import NO_SPAN, Span
from netdsl.ir.expr import Apply, Const, Expr
from netdsl.ir.network import Place, Type
from netdsl.sema.units import NONE, Dim


@dataclass(frozen=True)
class Value:
    """An expression with its dimension, type and place; `text` is an enumeration's value."""

    expr: Expr
    dim: Dim = NONE
    type: Type = Type.REAL
    place: Place = Place.GLOBAL
    text: str | None = None
    choices: tuple[str, ...] = ()
    bad: bool = False
    span: Span = NO_SPAN

    @property
    def constant(self) -> float | int | bool | None:
        """The number, where it is known now."""
        return self.expr.value if isinstance(self.expr, Const) and self.text is None else None

    @property
    def is_zero(self) -> bool:
        """A literal 0 fits every dimension."""
        return isinstance(self.expr, Const) and self.text is None and self.expr.value == 0

    def at(self, span: Span) -> Value:
        """The same value as written at another place."""
        return replace(self, span=span)


def bad(span: Span = NO_SPAN) -> Value:
    """What stands for an expression that was reported; it silences what follows from it."""
    return Value(Const(0.0, span), None, bad=True, span=span)


def number(value: float | int | bool, span: Span = NO_SPAN, dim: Dim = NONE) -> Value:
    """A literal."""
    return Value(Const(value, span), dim, type_of(value), span=span)


def type_of(value: object) -> Type:
    """The type of a Python number."""
    if isinstance(value, bool):
        return Type.BOOL
    return Type.COUNT if isinstance(value, int) else Type.REAL


_PLACES = {Place.GLOBAL: 0, Place.ROW: 1, Place.NEURON: 1, Place.UNIT: 2, Place.SYNAPSE: 3}


def join(a: Place, b: Place) -> Place:
    """The place of a value computed from values at two places."""
    if {a, b} == {Place.ROW, Place.NEURON}:
        return Place.UNIT
    return a if _PLACES[a] >= _PLACES[b] else b


def join_all(values: tuple[Value, ...]) -> Place:
    """The place of a value computed from others."""
    place = Place.GLOBAL
    for value in values:
        place = join(place, value.place)
    return place


def _sigmoid(a: float) -> float:
    return 0.5 * (1.0 + math.tanh(0.5 * a))


def _sign(a: float) -> int:
    return (a > 0) - (a < 0)


_FOLD: dict[str, Callable[..., float | int | bool]] = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "floordiv": lambda a, b: a // b,
    "mod": lambda a, b: a % b,
    "pow": lambda a, b: a**b,
    "neg": lambda a: -a,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "and": lambda a, b: bool(a and b),
    "or": lambda a, b: bool(a or b),
    "not": lambda a: not a,
    "select": lambda c, a, b: a if c else b,
    "min": min,
    "max": max,
    "clip": lambda x, lo, hi: min(max(x, lo), hi),
    "abs": abs,
    "sign": _sign,
    "floor": math.floor,
    "exp": math.exp,
    "log": math.log,
    "sqrt": math.sqrt,
    "sin": math.sin,
    "cos": math.cos,
    "tanh": math.tanh,
    "sigmoid": _sigmoid,
    "relu": lambda a: max(a, 0),
    "logit": lambda a: math.log(a / (1 - a)),
}


_LARGEST_COUNT = 2**63  # beyond it counts are numbers like others


class FoldError(Exception):
    """Arithmetic on literals that has no value, such as a division by zero."""


def make(function: str, args: tuple[Expr, ...], span: Span | None = None) -> Expr:
    """Apply a primitive, folded where all arguments are literals.

    A `select` with a known condition is its branch. Raises FoldError for `1 / 0` and the like.
    """
    if function == "select" and isinstance(args[0], Const):
        return args[1] if args[0].value else args[2]
    if function in _FOLD and all(isinstance(arg, Const) for arg in args):
        numbers = [arg.value for arg in args if isinstance(arg, Const)]
        return Const(_folded(function, numbers), span)
    return Apply(function, args, span)


def _folded(function: str, numbers: list[float | int | bool]) -> float | int | bool:
    """The value of a primitive; no number grows beyond those of double precision."""
    try:
        if function == "pow" and abs(numbers[0]) > 1 and numbers[1] > 63:
            numbers = [float(number) for number in numbers]
        value = _FOLD[function](*numbers)
        if isinstance(value, complex):
            raise FoldError("the result is not a real number")
        return bounded(value)
    except OverflowError:
        raise FoldError("the result is too large") from None
    except (ArithmeticError, ValueError) as problem:
        raise FoldError(str(problem)) from None


def bounded(value: float | int | bool) -> float | int | bool:
    """A number as it is kept: whole ones beyond 64 bits as reals. OverflowError beyond those."""
    if isinstance(value, int) and abs(value) >= _LARGEST_COUNT:
        return float(value)
    if not math.isfinite(value):
        raise OverflowError
    return value
