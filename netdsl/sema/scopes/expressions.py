"""Expressions of the tree become typed expressions over variables."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import cast

from netdsl.diagnostics import Label
from netdsl.ir.expr import Const
from netdsl.ir.functions import FUNCTIONS
from netdsl.ir.network import Place, Type
from netdsl.sema.scopes import calls, components
from netdsl.sema.scopes.scope import Scope, dotted
from netdsl.sema.scopes.units import (
    NONE,
    STEP,
    Dim,
    Dimension,
    describe,
    parse_unit,
    product,
    resolve,
)
from netdsl.sema.scopes.units import unify as unify_dims
from netdsl.sema.scopes.values import FoldError, Value, bad, join_all, make, number
from netdsl.syntax import ast

_OPERATORS = {row.symbol: row.name for row in FUNCTIONS.values() if row.symbol}


def translate(node: ast.Expr, scope: Scope) -> Value:
    """The typed expression; what is wrong is reported and gives a bad value."""
    expansion = scope.context.expansion
    try:
        return _translate(node, scope) if expansion.enter(node) else bad(node.span)
    finally:
        expansion.leave()


def _translate(node: ast.Expr, scope: Scope) -> Value:
    if isinstance(node, ast.Number):
        return _number(node, scope)
    if isinstance(node, ast.Bool):
        return number(node.value, node.span)
    if isinstance(node, ast.Index):
        from netdsl.sema.scopes import slots
        from netdsl.sema.synapses import tables

        found = slots.read(node, scope) or tables.read(node, scope) or scope.element(node)
        return found or components.component(node, None, scope)
    if isinstance(node, ast.At) and isinstance(node.base, ast.Index):
        return components.component(node.base, node.phase, scope)
    if isinstance(node, ast.Name | ast.Attribute | ast.At):
        return _name(node, scope)
    if isinstance(node, ast.Unary):
        return _unary(node, scope)
    if isinstance(node, ast.Binary):
        return _binary(node, scope)
    if isinstance(node, ast.Conditional):
        return _conditional(node, scope)
    if isinstance(node, ast.Measured):
        value = translate(node.value, scope)
        unit = STEP if node.unit == "step" else NONE
        return replace(value, dim=product(value.dim, unit), span=node.span)
    if isinstance(node, ast.Call):
        return calls.call(node, scope)
    return _refuse(node, scope)


def _refuse(node: ast.Expr, scope: Scope) -> Value:
    what = "a text" if isinstance(node, ast.String) else "a list"
    scope.context.bag.error("E0207", f"{what} stands where a number is needed", node.span)
    return bad(node.span)


def _number(node: ast.Number, scope: Scope) -> Value:
    if node.unit is None:
        return number(node.value, node.span)
    unit = parse_unit(node.unit)
    if unit is None:
        scope.context.bag.error("E0205", f"unknown unit `{node.unit}`", node.span)
        return bad(node.span)
    if unit.dimension in (STEP, NONE):
        return number(node.value, node.span, unit.dimension)
    value = unit.to_si(node.value)
    if not math.isfinite(value):
        scope.context.bag.error("E0210", "this has no value: it is too large", node.span)
        return bad(node.span)
    return number(value, node.span, unit.dimension)


def _name(node: ast.Name | ast.Attribute | ast.At, scope: Scope) -> Value:
    found = dotted(node)
    if found is None:
        scope.context.bag.error(
            "E0207", "only a variable can be read at a phase or have parts", node.span
        )
        return bad(node.span)
    parts, at = found
    series = at == "step" and parts[0] == "sample"
    if at not in (None, "prev") and at not in scope.context.phases and not series:
        scope.context.unknown("phase", at, node.span, scope.context.phases)
        return bad(node.span)
    name = ".".join(parts)
    vector = scope.vector(parts)
    if vector is not None:
        return components.without_index(name, vector, node.span, scope)
    value = scope.find(parts, at, node.span)
    if value is not None:
        return value
    scope.context.unknown("name", name, node.span, scope.names(), scope.kind)
    return bad(node.span)


def _unary(node: ast.Unary, scope: Scope) -> Value:
    operand = translate(node.operand, scope)
    if node.op == "+":
        return operand.at(node.span)
    return apply("neg" if node.op == "-" else "not", (operand,), node, scope)


def _binary(node: ast.Binary, scope: Scope) -> Value:
    if node.op in ("==", "!="):
        from netdsl.sema.cells.types import compared

        choice = compared(node, scope) or _choice(node, scope)
        if choice is not None:
            return choice
    args = (translate(node.left, scope), translate(node.right, scope))
    return apply(_OPERATORS[node.op], args, node, scope)


def _choice(node: ast.Binary, scope: Scope) -> Value | None:
    """`mode == supervised`: the other side is one of the enumeration's own words."""
    for one, other in ((node.left, node.right), (node.right, node.left)):
        if not isinstance(one, ast.Name):
            continue
        value = scope.find((one.id,), None, one.span)
        if value is None or not value.choices:
            continue
        if value.bad:
            return bad(node.span)
        if isinstance(other, ast.Name) and other.id in value.choices:
            same = value.text == other.id
            return number(same == (node.op == "=="), node.span)
        if isinstance(other, ast.Name):
            second = scope.find((other.id,), None, other.span)
            if second is not None and second.choices:
                return number((value.text == second.text) == (node.op == "=="), node.span)
        word = other.id if isinstance(other, ast.Name) else "this"
        scope.context.bag.error(
            "E0108",
            f"`{one.id}` is never `{word}`",
            other.span,
            help=f"it is one of {', '.join(value.choices)}",
        )
        return bad(node.span)
    return None


def _conditional(node: ast.Conditional, scope: Scope) -> Value:
    args = tuple(translate(part, scope) for part in (node.cond, node.then, node.otherwise))
    return apply("select", args, node, scope)


def apply(function: str, args: tuple[Value, ...], node: ast.Expr, scope: Scope) -> Value:
    """A primitive of typed arguments, with its dimension checked."""
    if any(arg.bad for arg in args):
        return bad(node.span)
    for arg in args:
        if arg.text is not None:
            scope.context.bag.error(
                "E0207", f"`{arg.text}` is a choice of an enumeration, not a number", arg.span
            )
            return bad(node.span)
    dim = _dimension(function, args, node, scope)
    try:
        expr = make(function, tuple(arg.expr for arg in args), node.span)
    except FoldError as problem:
        scope.context.bag.error("E0210", f"this has no value: {problem}", node.span)
        return bad(node.span)
    if not scope.context.expansion.fits(expr, node):
        return bad(node.span)
    place = Place.GLOBAL if isinstance(expr, Const) else join_all(args)
    return Value(expr, dim, _type(function, args), place, span=node.span)


def _type(function: str, args: tuple[Value, ...]) -> Type:
    result = FUNCTIONS[function].result
    if result != "same":
        return Type(result)
    numbers = args[1:] if function == "select" else args
    if any(arg.type is Type.REAL for arg in numbers):
        return Type.REAL
    if function == "select" and all(arg.type is Type.BOOL for arg in numbers):
        return Type.BOOL
    return Type.COUNT


def _dimension(function: str, args: tuple[Value, ...], node: ast.Expr, scope: Scope) -> Dim:
    units = FUNCTIONS[function].units
    if units in ("alike", "compare"):
        dim = same(args[1:] if function == "select" else args, node, scope)
        return dim if units == "alike" else NONE
    if units in ("product", "quotient"):
        return product(args[0].dim, args[1].dim, 1 if units == "product" else -1)
    if units == "keep":
        return args[0].dim
    if units == "root":
        return _root(args[0].dim)
    if units == "power":
        return _power(args, node, scope)
    if units == "number":
        for arg in args:
            _dimensionless(arg, f"`{function}` needs a number without unit", scope)
    return NONE


def _root(dim: Dim) -> Dim:
    from fractions import Fraction

    dim = resolve(dim)
    return dim ** Fraction(1, 2) if isinstance(dim, Dimension) else None


def _power(args: tuple[Value, ...], node: ast.Expr, scope: Scope) -> Dim:
    base, exponent = args
    dim = resolve(base.dim)
    power = exponent.constant
    if dim == NONE or dim is None or not isinstance(dim, Dimension):
        return NONE if dim == NONE else None
    if isinstance(power, int):
        return dim ** int(power)
    scope.context.bag.error(
        "E0201", f"{describe(dim)} to a power that is not a whole number", node.span
    )
    return None


def _dimensionless(value: Value, message: str, scope: Scope) -> None:
    if not value.is_zero and not unify_dims(value.dim, NONE):
        scope.context.bag.error("E0201", f"{message}, this is {describe(value.dim)}", value.span)


def same(values: tuple[Value, ...], node: ast.Node, scope: Scope) -> Dim:
    """The common dimension of values that are added or compared; a literal 0 fits all."""
    measured = [value for value in values if not value.is_zero]
    if not measured:
        return values[0].dim if values else NONE
    first = measured[0]
    for other in measured[1:]:
        if not unify_dims(first.dim, other.dim):
            if isinstance(node, ast.Expr) and _unitless(node, None, scope):
                return None
            one, two = describe(first.dim), describe(other.dim)
            scope.context.bag.error(
                "E0201",
                f"{one} and {two} cannot be combined here",
                node.span,
                Label(first.span, one),
                Label(other.span, two),
                help="give both the same unit"
                if "step" not in one + two
                else "steps and times are different things: multiply steps by `dt`",
            )
            return None
    return first.dim


def _unitless(node: ast.Expr, dim: Dim, scope: Scope) -> bool:
    """Report the name without a unit that keeps an expression from having a dimension, if any."""
    from netdsl.sema.scopes.causes import unitless

    cause = unitless(node, scope, lambda inner: unify_dims(translate(node, inner).dim, dim))
    if cause is not None:
        scope.context.bag.error("E0201", cause.message, node.span, *cause.labels, help=cause.help)
    return cause is not None


def expect(
    value: Value, dim: Dim, message: str, scope: Scope, node: ast.Expr | None = None
) -> bool:
    """Report when a value, that of `node`, has another dimension than is needed; False then."""
    if value.bad or value.is_zero or unify_dims(value.dim, dim):
        return True
    if node is not None and _unitless(node, dim, scope):
        return False
    scope.context.bag.error(
        "E0201", f"{message} {describe(dim)}, this is {describe(value.dim)}", value.span
    )
    return False


def constant(node: ast.Expr, scope: Scope, what: str) -> Value:
    """A value that must be known when the specification is compiled."""
    value = translate(node, scope)
    if not value.bad and value.text is None and value.constant is None:
        scope.context.bag.error(
            "E0106",
            f"{what} must be known when the specification is compiled",
            node.span,
            help="use literals and parameters only",
        )
        return bad(node.span)
    return value


def whole(node: ast.Expr, scope: Scope, what: str, *, least: int | None = None) -> int | None:
    """A whole number known at compile time, or None after a report."""
    value = constant(node, scope, what)
    if value.bad:
        return None
    raw = value.constant
    if raw is None or isinstance(raw, bool) or raw != int(cast(float, raw)):
        scope.context.bag.error("E0207", f"{what} must be a whole number", node.span)
        return None
    if least is not None and raw < least:
        scope.context.bag.error(
            "E0204", f"{what} must be at least {least}, this is {int(raw)}", node.span
        )
        return None
    return int(raw)
