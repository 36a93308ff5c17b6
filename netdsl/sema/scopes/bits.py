"""Binary digits of whole numbers: `bit(x, k)` and `popcount(x)`."""

from __future__ import annotations

from dataclasses import replace

from netdsl.ir.network import Type
from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.scope import Scope
from netdsl.sema.scopes.values import Value, bad, number
from netdsl.syntax import ast

_BITS = 24  # of the whole numbers that both number types hold


def bit(args: tuple[Value, ...] | None, node: ast.Call, scope: Scope) -> Value:
    """Digit k of x, the last one being 0: `x // 2^k % 2`."""
    if args is None or any(arg.bad for arg in args):
        return bad(node.span)
    two = number(2, node.span)
    power = expressions.apply("pow", (two, args[1]), node, scope)
    shifted = expressions.apply("floordiv", (args[0], power), node, scope)
    digit = expressions.apply("mod", (shifted, two), node, scope)
    return replace(digit, type=Type.COUNT)


def popcount(args: tuple[Value, ...] | None, node: ast.Call, scope: Scope) -> Value:
    """How many digits of x, a whole number below 2^24, are 1."""
    if args is None or args[0].bad:
        return bad(node.span)
    total = bit((args[0], number(0, node.span)), node, scope)
    for k in range(1, _BITS):
        digit = bit((args[0], number(k, node.span)), node, scope)
        total = expressions.apply("add", (total, digit), node, scope)
    return replace(total, type=Type.COUNT)
