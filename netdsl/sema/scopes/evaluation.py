"""Steps of a protocol that name data or results: splits, `evaluate` and `checkpoint`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netdsl.ir.expr import Expr
from netdsl.ir.protocol import Checkpoint, Evaluate, SplitRef
from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.counted import counted
from netdsl.sema.scopes.values import number
from netdsl.syntax import ast

if TYPE_CHECKING:
    from netdsl.sema.experiment.protocols import Builder


def split_of(build: Builder, ref: ast.Ref) -> SplitRef | None:
    parts = ref.parts
    if len(parts) == 1 and parts[0] in build.data_parameters:
        return SplitRef("", "", parts[0])
    context = build.context
    name = parts[0]
    if name not in context.data and name not in context.pairs:
        if not context.bag.is_poisoned("data", name):
            known = [*build.data_parameters, *_splits(context)]
            context.unknown("data", ref.name, ref.span, known)
        return None
    context.use("pairs" if name in context.pairs else "data", name)
    data = context.pairs[name].data if name in context.pairs else name
    splits = context.data[data].splits if data in context.data else {}
    if len(parts) == 1 and "" in splits:
        return SplitRef(name, "")  # a task is its own split
    if len(parts) != 2 or parts[1] not in splits:
        known = [f"{name}.{split}" if split else name for split in splits]
        context.unknown("split", ref.name, ref.span, known)
        return None
    return SplitRef(name, parts[1])


def evaluate_step(build: Builder, node: ast.Evaluate) -> Evaluate | None:
    declared = build.context.declarations.find("protocol", node.protocol.name)
    if declared is None:
        known = build.context.declarations.table("protocol")
        build.context.unknown("protocol", node.protocol.name, node.protocol.span, known)
        return None
    build.context.use("protocol", declared.name)
    splits = []
    for arg in node.args:
        ref = as_ref(arg.value)
        split = split_of(build, ref) if ref is not None else None
        if ref is None:
            build.context.bag.error("E0104", "data is needed here, as in `digits.dev`", arg.span)
        if split is None:
            return None
        splits.append(split)
    wanted = [param for param in declared.params if param.default is None]
    if len(splits) != len(wanted):
        build.context.bag.error(
            "E0110",
            f"protocol `{declared.name}` takes {len(wanted)} data arguments, here are "
            f"{len(splits)}",
            node.span,
        )
        return None
    limit = _samples(build, node.limit, splits) if node.limit is not None else None
    label = evaluation_label(node)
    return Evaluate(declared.name, tuple(splits), label, node.from_present, limit, node.span)


def _samples(build: Builder, node: ast.Expr, splits: list[SplitRef]) -> Expr:
    """How many samples `limit 500 samples` or `limit 2 batches` means."""
    value = build.value(node)
    if counted(node, ("sample", "batch"), build.context) != "batch":
        return value.expr
    context = build.context
    source = splits[0].source if splits else ""
    source = context.pairs[source].data if source in context.pairs else source
    if source not in context.data:
        context.bag.error(
            "E0104",
            "how many samples these batches have is not known here",
            node.span,
            help="write `limit 500 samples`",
        )
        return value.expr
    batch = number(context.data[source].eval_batch, node.span)
    return expressions.apply("mul", (value, batch), node, build.scope).expr


def checkpoint_step(build: Builder, node: ast.Checkpoint) -> Checkpoint | None:
    if node.by is None or node.on is None:
        build.context.bag.error(
            "E0116",
            "a checkpoint needs a metric and an evaluation",
            node.span,
            help=f"as in `checkpoint {node.name} by accuracy on dev`",
        )
        return None
    if node.by.name not in build.context.metrics:
        build.context.unknown("metric", node.by.name, node.by.span, build.context.metrics)
        return None
    label = node.on.parts[-1]
    known = evaluation_labels(build.context)
    if label not in known:
        build.context.unknown("evaluation", label, node.on.span, known)
        return None
    return Checkpoint(node.name, node.by.name, label, node.span)


def as_ref(node: ast.Expr) -> ast.Ref | None:
    """The name that an argument is, if it is one."""
    if isinstance(node, ast.Name):
        return ast.Ref(node.id, span=node.span)
    if isinstance(node, ast.Attribute) and isinstance(node.base, ast.Name):
        return ast.Ref(f"{node.base.id}.{node.name}", span=node.span)
    return None


def _splits(context: Context) -> list[str]:
    names = [
        f"{name}.{split}" if split else name
        for name, data in context.data.items()
        for split in data.splits
    ]
    for name, pair in context.pairs.items():
        if pair.data in context.data:
            names += [f"{name}.{split}" for split in context.data[pair.data].splits]
    return names


def evaluation_label(node: ast.Evaluate) -> str:
    """The name of an evaluation's results: `as NAME`, else the split, else the protocol."""
    if node.name is not None:
        return node.name
    ref = as_ref(node.args[0].value) if node.args else None
    return ref.parts[-1] if ref is not None else node.protocol.name


def evaluation_labels(context: Context) -> list[str]:
    """Labels of all evaluations, and of the two runs that the command line makes."""
    labels = ["train", "test"]
    for protocol in context.declarations.table("protocol").values():
        for node in ast.walk(protocol):
            if isinstance(node, ast.Evaluate):
                labels.append(evaluation_label(node))
    return list(dict.fromkeys(labels))
