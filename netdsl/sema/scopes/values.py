"""Typed expressions, and the smart constructors that fold constants as they are built."""

from __future__ import annotations

from dataclasses import dataclass, replace

from netdsl.diagnostics import NO_SPAN, Span
from netdsl.ir.expr import Apply, Const, Expr
from netdsl.ir.functions import fold
from netdsl.ir.network import Place, Type
from netdsl.ir.space import held
from netdsl.sema.scopes.units import NONE, Dim


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


def join_all(values: tuple[Value, ...]) -> Place:
    """The place of a value computed from others."""
    return held(value.place for value in values)


class FoldError(Exception):
    """Arithmetic on literals that has no value, such as a division by zero."""


def make(function: str, args: tuple[Expr, ...], span: Span | None = None) -> Expr:
    """Apply a primitive, folded where all arguments are literals.

    A `select` with a known condition is its branch. Raises FoldError for `1 / 0` and the like.
    """
    if function == "select" and isinstance(args[0], Const):
        return args[1] if args[0].value else args[2]
    if all(isinstance(arg, Const) for arg in args):
        try:
            value = fold(function, *(arg.value for arg in args if isinstance(arg, Const)))
        except OverflowError:
            raise FoldError("the result is too large") from None
        except (ArithmeticError, ValueError) as problem:
            raise FoldError(str(problem)) from None
        return Const(value, span)
    return Apply(function, args, span)
