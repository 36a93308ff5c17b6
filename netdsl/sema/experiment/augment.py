"""`augment train = crop(pad = 4) + flip`: what is done to images whenever they are presented."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from netdsl.ir.augment import NAMES, Crop, Flip, Operation
from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.templates import callee
from netdsl.syntax import ast

_CROP = ("pad", "shared", "fill")


def augmentations(
    node: ast.DataDecl, splits: Iterable[str], context: Context
) -> Mapping[str, tuple[Operation, ...]]:
    """By split, what is done to its images, in this order."""
    found: dict[str, tuple[Operation, ...]] = {}
    for statement in node.body:
        if not isinstance(statement, ast.Augment):
            continue
        if statement.name not in splits:
            context.unknown("split", statement.name, statement.name_span, splits)
            continue
        operations = [_operation(term, context) for term in _terms(statement.value)]
        kept = tuple(operation for operation in operations if operation is not None)
        for kind in {type(operation) for operation in kept}:
            if sum(isinstance(operation, kind) for operation in kept) > 1:
                name = next(word for word, made in NAMES.items() if made is kind)
                context.bag.error("E0102", f"`{name}` stands here twice", statement.value.span)
        found[statement.name] = kept
    return found


def _terms(node: ast.Expr) -> list[ast.Expr]:
    """What `+` joins, in order."""
    if isinstance(node, ast.Binary) and node.op == "+":
        return [*_terms(node.left), *_terms(node.right)]
    return [node]


def _operation(node: ast.Expr, context: Context) -> Operation | None:
    found = callee(node)
    if found is None:
        context.bag.error(
            "E0104",
            "an operation on images is needed",
            node.span,
            help="as in `augment train = crop(pad = 4) + flip`",
        )
        return None
    name, args, span = found
    if name not in NAMES:
        context.bag.error(
            "E0101",
            f"unknown operation on images `{name}`",
            span,
            help=f"they are {', '.join(f'`{known}`' for known in NAMES)}",
        )
        return None
    if name == "crop":
        return _crop(args, node, context)
    if args:
        context.bag.error("E0110", f"`{name}` takes no arguments", node.span)
        return None
    return Flip()


def _crop(args: tuple[ast.Arg, ...], node: ast.Expr, context: Context) -> Crop | None:
    pad: int | None = None
    shared: bool | None = False
    numbers: tuple[float, ...] | None = (0.0,)
    named: set[str | None] = set()
    for arg in args:
        if arg.name not in _CROP or arg.name in named:
            context.bag.error(
                "E0110",
                "`crop` takes `pad = n`, `shared = true` and `fill = v`, each once",
                arg.span,
                help="as in `crop(pad = 4)`, `crop(pad = 4, shared = true)`",
            )
            return None
        if arg.name == "pad":
            pad = expressions.whole(arg.value, context.scope, "the margin of `crop`", least=1)
        elif arg.name == "fill":
            numbers = _numbers(arg.value, context)
        else:
            shared = _truth(arg.value, context)
        named.add(arg.name)
    if "pad" not in named:
        context.bag.error("E0110", "`crop` needs a margin", node.span, help="as in `crop(pad = 4)`")
        return None
    if pad is None or shared is None or numbers is None:
        return None
    return Crop(pad, shared, numbers)


def _truth(node: ast.Expr, context: Context) -> bool | None:
    value = expressions.constant(node, context.scope, "`shared`")
    if value.bad:
        return None
    if not isinstance(value.constant, bool):
        context.bag.error("E0202", "`shared` is `true` or `false`", node.span)
        return None
    return value.constant


def _numbers(node: ast.Expr, context: Context) -> tuple[float, ...] | None:
    """One number, or a list of them."""
    items = node.items if isinstance(node, ast.ListExpr) else (node,)
    values = [expressions.constant(item, context.scope, "`fill`") for item in items]
    known = [value.constant for value in values if value.constant is not None]
    return tuple(float(number) for number in known) if len(known) == len(values) > 0 else None
