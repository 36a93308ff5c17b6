"""Which constant without a unit makes the units of an expression disagree.

Loaded when a mistake with units is reported: the expression is translated again with a unit for one
of its names, and the name that makes it fit is the likeliest cause.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import NamedTuple

from netdsl.diagnostics import DiagnosticBag, Label
from netdsl.ir.expr import Const
from netdsl.sema.scopes.scope import Bound, Scope
from netdsl.sema.scopes.units import NONE, TIME, Dimension, parse_unit, resolve, undone
from netdsl.sema.scopes.values import Value
from netdsl.syntax import ast
from netdsl.syntax.ast.visit import walk

_TRIED = ("ms", "mV", "nA", "nS", "MOhm", "pF", "Hz", "1/ms", "mV/ms", "steps")


class Cause(NamedTuple):
    """A name without a unit, and the unit that it should have."""

    message: str
    labels: tuple[Label, ...]
    help: str


def unitless(node: ast.Node, scope: Scope, fits: Callable[[Scope], bool]) -> Cause | None:
    """The one name of an expression that lacks a unit; `fits(scope)` says whether units agree."""
    if isinstance(scope.context.bag, _Trial):
        return None
    for name, value in _constants(node, scope):
        for text in _TRIED:
            unit = parse_unit(text)
            if unit is None:
                continue
            other = replace(value, dim=unit.dimension)
            with _trial(scope):
                inner = Bound(scope.context, scope, {name: other})
                good = fits(inner) and not scope.context.bag.has_errors
            if good:
                return _cause(name, value, text, unit.dimension)
    return None


def _constants(node: ast.Node, scope: Scope) -> Iterator[tuple[str, Value]]:
    """Names of an expression that stand for numbers without a unit."""
    seen = set()
    for part in walk(node):
        if not isinstance(part, ast.Name) or part.id in seen:
            continue
        seen.add(part.id)
        value = scope.find((part.id,), None, part.span)
        if value is None or value.bad or value.constant is None or value.is_zero:
            continue
        if resolve(value.dim) == NONE:
            yield part.id, value


class _Trial(DiagnosticBag):
    """Findings of a trial, within which no further one begins."""


@contextmanager
def _trial(scope: Scope) -> Iterator[None]:
    """What is reported and inferred inside is forgotten."""
    bag = scope.context.bag
    scope.context.bag = _Trial()
    try:
        with undone():
            yield
    finally:
        scope.context.bag = bag


def _cause(name: str, value: Value, unit: str, dimension: Dimension) -> Cause:
    assert isinstance(value.expr, Const)
    place = value.expr.span
    labels = (Label(place, "a number without a unit"),) if place and place.line else ()
    number = f"{value.expr.value:g}"
    needed = "a time" if dimension == TIME else str(dimension)
    message = f"`{name}` has no unit, here it must be {needed}"
    return Cause(message, labels, f"give it one, as in `{name} = {number} {unit}`")
