"""Parameters: their values from defaults and overrides, with type, unit and range checked."""

from __future__ import annotations

from dataclasses import replace

from netdsl.diagnostics import Span
from netdsl.ir.expr import Const
from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.overrides import Raw, read_value
from netdsl.sema.scopes.scope import Scope
from netdsl.sema.scopes.units import describe, display, parse_unit, unify
from netdsl.sema.scopes.values import Value, bad
from netdsl.syntax import ast


def param_value(
    param: ast.Param,
    paths: tuple[str, ...],
    scope: Scope,
    *,
    instead: ast.Expr | None = None,
    instead_scope: Scope | None = None,
) -> Value:
    """The value of a parameter known at compile time.

    `paths`: where `--set` may name it, the most specific first. `instead`: an expression that
    replaces the default (a population's own setting, an argument).
    """
    context = scope.context
    node = instead if instead is not None else param.default
    default = bad(param.span)
    if node is not None:
        default = _default(param, node, instead_scope or scope)
    raw = next((r for r in [context.overrides.take(path) for path in paths] if r is not None), None)
    value = default if raw is None else _given(param, raw, default, paths[0], context)
    if node is None and raw is None:
        context.bag.error(
            "E0110",
            f"parameter `{param.name}` has no value",
            param.name_span,
            help=f"give it a default, or `--set {paths[0]}=…`",
        )
        return bad(param.span)
    if not value.bad:
        value = _checked(param, value, scope)
    return value


def _default(param: ast.Param, node: ast.Expr, scope: Scope) -> Value:
    choices = param.type.choices if param.type is not None else ()
    if choices:
        if isinstance(node, ast.Name) and node.id in choices:
            return Value(Const(0), text=node.id, choices=choices, span=node.span)
        if isinstance(node, ast.Name):
            found = scope.find((node.id,), None, node.span)
            if found is not None and found.choices:
                return found
        scope.context.bag.error(
            "E0108",
            f"this is not a value of `{param.name}`",
            node.span,
            help=f"it is one of {', '.join(choices)}",
        )
        return replace(bad(node.span), choices=choices)
    return expressions.translate(node, scope)


def _given(param: ast.Param, raw: Raw, default: Value, path: str, context: Context) -> Value:
    choices = param.type.choices if param.type is not None else ()
    value = read_value(raw, param.name_span, choices)
    if value is None:
        wanted = f"one of {', '.join(choices)}" if choices else "a number, with its unit if any"
        context.bag.error(
            "E0202",
            f"`{raw}` is not a value of `{path}`",
            param.name_span,
            help=f"it is {wanted}",
        )
        return bad(param.span)
    if not value.is_zero and not default.bad and not unify(value.dim, default.dim):
        unit = display(default.dim)
        unit = {"s": "ms", "V": "mV"}.get(unit, unit)
        context.bag.error(
            "E0201",
            f"`{path}` is {describe(default.dim)}, `{raw}` is {describe(value.dim)}",
            param.name_span,
            help=f"write a unit, as in `{path}=20 {unit}`" if unit else None,
        )
        return bad(param.span)
    return value


def _checked(param: ast.Param, value: Value, scope: Scope) -> Value:
    if param.type is not None and not _fits_type(param, value, scope):
        return bad(param.span)
    if value.constant is not None and param.range is not None:
        low = expressions.constant(param.range.low, scope, "the end of a range")
        high = expressions.constant(param.range.high, scope, "the end of a range")
        return _within(param, value, low.constant, high.constant, scope)
    return value


def _within(
    param: ast.Param,
    value: Value,
    low: float | int | None,
    high: float | int | None,
    scope: Scope,
) -> Value:
    known = value.constant
    if known is None or low is None or high is None or low <= known <= high:
        return value
    scope.context.bag.error(
        "E0202",
        f"`{param.name}` is {known:g}, outside [{low:g}, {high:g}]",
        value.span if value.span.line else param.name_span,
    )
    return bad(param.span)


def _fits_type(param: ast.Param, value: Value, scope: Scope) -> bool:
    assert param.type is not None
    kind, text, known = param.type.kind, param.type.text, value.constant
    if kind == "unit":
        unit = parse_unit(text)
        if unit is None:
            scope.context.bag.error("E0205", f"unknown unit `{text}`", param.type.span)
            return False
        return expressions.expect(value, unit.dimension, f"`{param.name}` is declared as", scope)
    if kind == "name" and known is not None:
        if text == "count" and (isinstance(known, bool) or known != int(known)):
            return _wrong(param, value.span, "a whole number", scope)
        if text == "bool" and not isinstance(known, bool):
            return _wrong(param, value.span, "true or false", scope)
    if kind == "name" and text not in ("count", "bool", "real", "modulator"):
        scope.context.unknown("type", text, param.type.span, ("count", "bool", "real"))
        return False
    return True


def _wrong(param: ast.Param, span: Span, wanted: str, scope: Scope) -> bool:
    where = span if span.line else param.name_span
    scope.context.bag.error("E0202", f"`{param.name}` must be {wanted}", where)
    return False


def plain(value: Value) -> object:
    """The number or word of a value, for `Network.params`; None while it is not known."""
    return value.text if value.text is not None else value.constant
