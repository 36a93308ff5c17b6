"""`run pretrain`: a protocol as a statement of another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netdsl.diagnostics import Label
from netdsl.ir.expr import Expr
from netdsl.ir.network import Place
from netdsl.ir.protocol import RunProtocol, SplitRef
from netdsl.sema.scopes.counted import counted
from netdsl.sema.scopes.evaluation import as_ref, split_of
from netdsl.syntax import ast

if TYPE_CHECKING:
    from netdsl.sema.experiment.protocols import Builder

_ROUNDS = ("epochs", "iterations")


def run_step(build: Builder, node: ast.RunProtocol) -> RunProtocol | None:
    """The step, or None after a report."""
    context = build.context
    declared = context.declarations.find("protocol", node.protocol.name)
    if declared is None:
        known = context.declarations.table("protocol")
        context.unknown("protocol", node.protocol.name, node.protocol.span, known)
        return None
    context.use("protocol", declared.name)
    if not _placed(build, node) or _circular(build, node):
        return None
    splits = [arg for arg in node.args if arg.name is None]
    wanted = [param.name for param in declared.params if param.default is None]
    if len(splits) != len(wanted):
        context.bag.error(
            "E0110",
            f"protocol `{declared.name}` takes {len(wanted)} data arguments, here are "
            f"{len(splits)}",
            node.span,
        )
        return None
    found = [_split(build, arg) for arg in splits]
    rounds = [_rounds(build, declared, arg) for arg in node.args if arg.name is not None]
    if None in found or None in rounds:
        return None
    args = tuple(split for split in found if split is not None)
    return RunProtocol(declared.name, args, next(iter(rounds), None), node.span)


def _split(build: Builder, arg: ast.Arg) -> SplitRef | None:
    ref = as_ref(arg.value)
    if ref is None:
        build.context.bag.error("E0104", "data is needed here, as in `digits.train`", arg.span)
        return None
    return split_of(build, ref)


def _rounds(build: Builder, declared: ast.ProtocolDecl, arg: ast.Arg) -> Expr | None:
    """`epochs = 3`: what a protocol is told of how often."""
    context, known = build.context, [p.name for p in declared.params if p.default is not None]
    if arg.name not in known:
        context.unknown("parameter", arg.name or "", arg.span, known, f"`{declared.name}`")
        return None
    if arg.name not in _ROUNDS:
        context.bag.error(
            "E0533",
            f"`{arg.name}` is fixed when the specification is compiled, and not by `run`",
            arg.span,
            help=f"set it with `--set {declared.name}.{arg.name}=…`, or by a `param`",
        )
        return None
    value = build.value(arg.value)
    if value.bad or counted(arg.value, (arg.name.removesuffix("s"),), context) is None:
        return None
    if value.place is not Place.GLOBAL:
        context.bag.error("E0208", f"`{arg.name}` is one number", arg.value.span)
        return None
    return value.expr


def _placed(build: Builder, node: ast.RunProtocol) -> bool:
    """It stands in no loop, and no clamp of this protocol reaches into it. Reports where not."""
    if build.inside is not None:
        build.context.bag.error(
            "E0533",
            f"`run {node.protocol}` stands in a loop",
            node.span,
            Label(build.inside, "this loop"),
            help="protocols follow each other: `run` stands beside loops, not in them",
        )
    elif build.clamped is not None:
        build.context.bag.error(
            "E0533",
            f"a clamp of `{build.node.name}` would not reach into `{node.protocol}`",
            node.span,
            Label(build.clamped, "in force until the block ends"),
            help="clamp in the protocol that is run",
        )
    else:
        return True
    return False


def _circular(build: Builder, node: ast.RunProtocol) -> bool:
    """Would a protocol come to run itself? Reports it."""
    table = build.context.declarations.table("protocol")
    seen, names = set(), [node.protocol.name]
    while names:
        name = names.pop()
        if name in seen or name not in table:
            continue
        seen.add(name)
        for inner in ast.walk(table[name]):
            if isinstance(inner, ast.RunProtocol | ast.Evaluate):
                names.append(inner.protocol.name)
    if build.node.name in seen:
        build.context.bag.error(
            "E0533", f"protocol `{build.node.name}` would run itself", node.span,
            help="run another protocol here, or repeat with `each epoch`",
        )  # fmt: skip
    return build.node.name in seen
