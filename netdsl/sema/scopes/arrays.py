"""Arrays of files, `cells.C`: where they may be read, and what stands for them."""

from __future__ import annotations

from netdsl.diagnostics import Span
from netdsl.ir.network import Draw
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.scope import dotted
from netdsl.syntax import ast

ARRAY = "array"  # the distribution of a draw that a file gives


def named(parts: tuple[str, ...], context: Context) -> bool:
    """Whether a dotted name is that of an array."""
    if len(parts) != 2 or parts[0] not in context.declarations.table("array"):
        return False
    context.use("array", parts[0])
    return True


def given(parts: tuple[str, ...], span: Span) -> Draw:
    """An array as a start value."""
    return Draw(ARRAY, (), ".".join(parts), span=span)


def start(node: ast.Expr, context: Context) -> Draw | None:
    """The array that an expression is; None of other expressions."""
    found = dotted(node)
    if found is None or found[1] is not None or not named(found[0], context):
        return None
    return given(found[0], node.span)


def misplaced(path: str, span: Span, context: Context) -> None:
    """Report an array where it has no shape."""
    context.bag.error(
        "E0669",
        f"the array `{path}` cannot be read here",
        span,
        help="write `param C per neuron = cells.C` in a cell, `weight w = wiring.w` in a "
        "projection, or `from wiring.mask` behind its ends",
    )
