"""`grad(f, x)`: derivatives inside a cell, with definitions written out and spikes' surrogates."""

from __future__ import annotations

from dataclasses import replace

from netdsl.ir.algebra.build import plus, times
from netdsl.ir.algebra.definitions import write_out
from netdsl.ir.expr import Ref, refs
from netdsl.sema.scopes.scope import Scope
from netdsl.sema.scopes.units import product
from netdsl.sema.scopes.values import Value, bad
from netdsl.syntax import ast


def gradient(of: Value, by: Value, node: ast.Call, scope: Scope) -> Value:
    """d of / d by, where `by` is a variable of the same cell."""
    from netdsl.ir.algebra.derivative import DerivativeError, depends, derivative

    bag = scope.context.bag
    if not isinstance(by.expr, Ref):
        bag.error("E0415", "a derivative is taken by a variable", by.span)
        return bad(node.span)
    owner = scope.context.cells.get(by.expr.path.split(".")[0])
    if owner is None:
        bag.error("E0415", "derivatives are taken inside a cell", node.span)
        return bad(node.span)
    path = by.expr.path
    for ref in refs(of.expr):
        if ref.path in owner.variables:
            held = owner.variables[ref.path]
            owner.variables[ref.path] = replace(held, differentiated=True)
    written = write_out(of.expr, owner.variables, keep=path)
    try:
        total = derivative(written, path)
        for spike, (margin, surrogate) in owner.surrogates.items():
            outer = derivative(written, spike)
            if depends(written, spike):
                inner = derivative(write_out(margin, owner.variables, keep=path), path)
                total = plus(total, times(outer, times(surrogate, inner)))
    except DerivativeError as problem:
        bag.error(
            "E0415",
            f"no derivative: {problem.message}",
            node.span,
            help="write the derivative by hand",
        )
        return bad(node.span)
    return Value(total, product(of.dim, by.dim, -1), place=of.place, span=node.span)
