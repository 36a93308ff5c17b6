"""Indices of neurons along the axes of their population."""

from __future__ import annotations

from dataclasses import replace

from netdsl.ir.expr import Apply, Const, Expr, Index, transform
from netdsl.ir.network import Draw, Variable
from netdsl.passes.errors import LoweringError
from netdsl.passes.lower.context import Context


def axis_index(context: Context, population: str, index: Index) -> Expr:
    """The index along a named axis, from the flat index (row-major)."""
    axes = context.network.populations[population].axes
    stride = 1
    for name, length in reversed(axes):
        if name == index.axis:
            flat: Expr = Index(None, index.side, index.span)
            if stride > 1:
                flat = Apply("floordiv", (flat, Const(float(stride))), index.span)
            if name == axes[0][0]:
                return flat
            return Apply("mod", (flat, Const(float(length))), index.span)
        stride *= length
    raise LoweringError("E0899", f"`{population}` has no axis `{index.axis}`", index.span)


def with_flat_indices(context: Context, variable: Variable) -> Expr | Draw | None:
    """What a parameter starts with; an index along an axis comes from the flat one."""

    def visit(node: Expr) -> Expr | None:
        if isinstance(node, Index) and node.axis is not None:
            return axis_index(context, variable.owner, node)
        return None

    init = variable.init
    if isinstance(init, Draw):
        return replace(init, args=tuple(transform(arg, visit) for arg in init.args))
    return None if init is None else transform(init, visit)
