"""Signed projections: `w` is the effective strength, `mag` the number that is stored and learned.

`w = sign * max(mag, 0)`; the sign is one for all synapses (`sign +`, `sign -`) or that of the
presynaptic cell type (`sign by pre`, Dale's law). A synapse is present while `mag` > 0.
"""

from __future__ import annotations

from dataclasses import replace

from netdsl.ir.expr import NOW, Const, Expr, Index, Ref, apply, transform
from netdsl.sema.scopes import arrays
from netdsl.sema.scopes.context import Context
from netdsl.sema.synapses.synapses import Ends
from netdsl.syntax import ast

MAGNITUDE = "mag"


def sign_of(node: ast.ProjectionDecl, ends: Ends, context: Context) -> Expr | None:
    """The sign as an expression over the presynaptic index; None for a plain projection."""
    if node.sign is None:
        return None
    if node.sign not in ("+", "-", "pre"):
        return _by_array(node, tuple(node.sign.split(".")), ends, context)
    if node.sign != "pre":
        return Const(1.0 if node.sign == "+" else -1.0, node.span)
    return _by_type(node, ends, context)


def turned(sign: Expr) -> Expr:
    """The sign as a transpose sees it, whose senders are the original's receivers."""

    def visit(node: Expr) -> Expr | None:
        return replace(node, side="post") if isinstance(node, Index | Ref) else None

    return transform(sign, visit)


def _by_type(node: ast.ProjectionDecl, ends: Ends, context: Context) -> Expr:
    types = context.populations[ends.pre.name].types if ends.pre.name in context.populations else ()
    if not types:
        context.bag.error(
            "E0635",
            f"`sign by pre` needs cell types, and `{ends.pre.name}` has none",
            node.span,
            help=f"write `population {ends.pre.name} : … types {{ I: 20; E: 80 }}`",
        )
        return Const(1.0)
    if context.populations[ends.pre.name].shuffled:
        return _by_unit(node, ends, context)
    offset = ends.pre_slice[0] if ends.pre_slice is not None else 0
    index = Index(None, "pre", node.span)
    sign: Expr = Const(1.0)
    for name, _, last in reversed(types):
        own = Const(_type_sign(name, node, context))
        before = apply("lt", index, Const(float(last - offset)))
        sign = (
            own
            if sign == Const(1.0) and name == types[-1][0]
            else apply("select", before, own, sign)
        )
    return sign


def _by_unit(node: ast.ProjectionDecl, ends: Ends, context: Context) -> Expr:
    """The sign of each sender's own type."""
    names = [name for name, _, _ in context.populations[ends.pre.name].types]
    signs = [_type_sign(name, node, context) for name in names]
    code = Ref(f"{ends.pre.name}.type", "pre", NOW, node.span)
    sign: Expr = Const(signs[-1])
    for number, own in reversed(tuple(enumerate(signs[:-1]))):
        if Const(own) != sign:
            sign = apply("select", apply("eq", code, Const(number)), Const(own), sign)
    return sign


def _type_sign(name: str, node: ast.ProjectionDecl, context: Context) -> float:
    declared = context.declarations.find("celltype", name)
    if declared is None:
        known = context.declarations.names("celltype")
        context.unknown("cell type with a sign", name, node.span, known)
        return 1.0
    context.use("celltype", name)
    return 1.0 if declared.sign == "+" else -1.0


def _by_array(
    node: ast.ProjectionDecl, parts: tuple[str, ...], ends: Ends, context: Context
) -> Expr:
    """Signs of the senders from a file."""
    if not arrays.named(parts, context):
        known = context.declarations.names("array")
        context.unknown("array", ".".join(parts), node.span, known)
        return Const(1.0)
    if ends.pre.name not in context.populations or ends.pre_slice is not None:
        context.unsupported(
            "signs of a part of a population from an array are",
            node.span,
            "give the part a population of its own",
        )
        return Const(1.0)
    return Ref(ends.pre.declare(parts, node.span), "pre", span=node.span)
