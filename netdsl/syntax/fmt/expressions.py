"""Expressions as text, with the fewest parentheses that keep the tree."""

from __future__ import annotations

from netdsl.syntax import ast

_CONDITIONAL, _OR, _AND, _NOT, _COMPARE, _SUM, _PRODUCT, _SIGNED, _POWER, _POSTFIX = range(10)
_LEVELS = {
    "or": _OR,
    "and": _AND,
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), _COMPARE),
    **dict.fromkeys(("+", "-"), _SUM),
    **dict.fromkeys(("*", "/", "//", "%"), _PRODUCT),
    "^": _POWER,
}


def show(expr: ast.Expr) -> str:
    """An expression as text that parses back to it."""
    return _show(expr, _CONDITIONAL)


def show_args(args: tuple[ast.Arg, ...]) -> str:
    """The arguments of a call, without its parentheses."""
    return ", ".join(_arg(a) for a in args)


def _arg(arg: ast.Arg) -> str:
    return show(arg.value) if arg.name is None else f"{arg.name} = {show(arg.value)}"


def _show(expr: ast.Expr, least: int) -> str:
    """The text of `expr` where the grammar asks for binding strength `least` or more."""
    text, level = _render(expr)
    return f"({text})" if level < least else text


def _render(expr: ast.Expr) -> tuple[str, int]:
    match expr:
        case ast.Binary(op=op, left=left, right=right):
            return _binary(op, left, right), _LEVELS[op]
        case ast.Unary(op="not", operand=operand):
            return f"not {_show(operand, _NOT)}", _NOT
        case ast.Unary(op=op, operand=operand):
            return f"{op}{_show(operand, _SIGNED)}", _SIGNED
        case ast.Conditional(cond=cond, then=then, otherwise=otherwise):
            parts = (_show(then, _OR), _show(cond, _OR), _show(otherwise, _CONDITIONAL))
            return "{} if {} else {}".format(*parts), _CONDITIONAL
        case ast.Measured(value=value, unit=unit, word=word):
            return f"{_show(value, _POSTFIX + isinstance(value, ast.Number))} {word or unit}", _OR
        case _:
            return _postfix(expr), _POSTFIX


def _binary(op: str, left: ast.Expr, right: ast.Expr) -> str:
    level = _LEVELS[op]
    if op == "^":
        base = _show(left, _POSTFIX)
        if isinstance(left, ast.Number) and left.unit is not None:
            base = f"({base})"  # in `3 ms^2` the power belongs to the unit
        return f"{base}^{_show(right, _SIGNED)}"
    least = level + 1 if level == _COMPARE else level
    return f"{_show(left, least)} {op} {_show(right, level + 1)}"


def _postfix(expr: ast.Expr) -> str:
    match expr:
        case ast.Number():
            return _number(expr)
        case ast.String(value=value):
            return f'"{value}"'
        case ast.Bool(value=value):
            return "true" if value else "false"
        case ast.Name(id=name):
            return name
        case ast.Attribute(base=base, name=name):
            return f"{_base(base)}.{name}"
        case ast.At(base=base, phase=phase):
            return f"{_base(base)}@{phase}"
        case ast.Index(base=base, args=args):
            return f"{_base(base)}[{', '.join(map(show, args))}]"
        case ast.ListExpr(items=items):
            return f"[{', '.join(map(show, items))}]"
        case ast.Call(func=func, args=args, over=over):
            inside = " ".join(filter(None, (show_args(args), _over(over))))
            return f"{func}({inside})"
    raise TypeError(f"not an expression: {expr!r}")


def _base(expr: ast.Expr) -> str:
    """What stands before `.`, `@` or `[`: `3.x` would read as the number `3.`."""
    text = _show(expr, _POSTFIX)
    return f"({text})" if isinstance(expr, ast.Number) else text


def _number(number: ast.Number) -> str:
    if number.text:
        return number.text
    digits = str(number.value) if number.is_int else repr(float(number.value))
    return digits if number.unit is None else f"{digits} {number.unit}"


def _over(over: ast.Over | None) -> str:
    if over is None:
        return ""
    axes = ", ".join(axis.name for axis in over.axes)
    if over.index is not None:
        return f"over {over.index} in {axes}"
    last = "" if over.last is None else f" last {show(over.last)}"
    return f"{over.kind} {axes}{last}"
