"""Memories: what they store, and the steps of a protocol that fill and empty them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netdsl.ir.network import Kind, Memory, Place, Type, Variable
from netdsl.ir.protocol import FULL, Forget, Push
from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.context import Context
from netdsl.sema.scopes.units import NONE
from netdsl.syntax import ast

if TYPE_CHECKING:
    from netdsl.sema.experiment.protocols import Builder

KINDS = ("replay", "window")
_STORED = (Kind.STATE, Kind.INPUT, Kind.TRACE, Kind.SPIKE, Kind.DRAW, Kind.DEF)


def full(memory: str) -> str:
    """The path of whether a memory is full."""
    return f"{memory}.{FULL}"


def elaborate_memory(node: ast.MemoryDecl, context: Context) -> None:
    """One memory; it goes to `context.memories`, and whether it is full to `variables`."""
    size = expressions.whole(node.size, context.scope, f"the size of `{node.name}`", least=2)
    if node.kind not in KINDS:
        context.unknown("kind of memory", node.kind, node.span, KINDS)
        size = None
    elif node.kind == "replay":
        memory = _replay(node, size or 2, context)
    else:
        memory = _window(node, size or 2, context)
    path = full(node.name)
    context.variables[path] = Variable(
        path, Kind.COUNTER, Place.GLOBAL, Type.BOOL, span=node.name_span
    )
    context.dims[path] = NONE
    if size is None or memory is None:
        context.dead.add(node.name)
        return
    context.memories[node.name] = memory


def _replay(node: ast.MemoryDecl, size: int, context: Context) -> Memory | None:
    """Samples of data or of a task."""
    ref = node.of[0]
    known = [*context.declarations.table("data"), *context.declarations.table("task")]
    if len(node.of) > 1 or len(ref.parts) > 1 or ref.name in context.declarations.table("pairs"):
        context.bag.error(
            "E0180",
            f"`{node.name}` keeps samples of one data set or task",
            node.of[-1].span,
            help=f"as in `memory {node.name} : replay[{size}] of digits`; a window stores "
            "variables",
        )
        return None
    if ref.name not in known:
        context.unknown("data", ref.name, ref.span, known)
        return None
    context.use("data", ref.name)
    return Memory(node.name, "replay", size, ref.name, span=node.span)


def _window(node: ast.MemoryDecl, size: int, context: Context) -> Memory | None:
    """Variables of populations."""
    paths: list[str] = []
    for ref in node.of:
        scope = context.cells.get(".".join(ref.parts[:-1]))
        path = scope.paths.get(ref.parts[-1]) if scope is not None else None
        if scope is None or path is None:
            if not context.bag.is_poisoned("population", ref.parts[0]):
                cells = context.cells.values()
                known = [f"{cell.name}.{name}" for cell in cells for name in cell.paths]
                context.unknown("variable", ref.name, ref.span, known)
            return None
        context.use("population", scope.name)
        context.use("variable", path)
        variable = scope.variables[path]
        if variable.kind not in _STORED or variable.place not in (Place.UNIT, Place.ROW):
            context.bag.error(
                "E0180",
                f"`{ref}` is a {variable.kind.value}: a window stores what differs from sample to "
                "sample",
                ref.span,
                help="states, inputs and definitions of cells can be stored",
            )
            return None
        paths.append(path)
    return Memory(node.name, "window", size, variables=tuple(dict.fromkeys(paths)), span=node.span)


# ---------------------------------------------------------------- steps of a protocol


def _memory(build: Builder, ref: ast.Ref) -> Memory | None:
    known = build.context.declarations.table("memory")
    if ref.name not in known:
        build.context.unknown("memory", ref.name, ref.span, known, build.kind)
    else:
        build.context.use("memory", ref.name)
    return build.context.memories.get(ref.name)


def forget_step(build: Builder, ref: ast.Ref) -> Forget | None:
    """`reset memory past`."""
    memory = _memory(build, ref)
    return Forget(memory.name, ref.span) if memory is not None else None


def push_step(build: Builder, node: ast.Push) -> Push | None:
    """`push past`, where there is one sample."""
    memory = _memory(build, node.memory)
    if memory is None:
        return None
    context, loop = build.context, build.loop
    paired = build.source in context.declarations.table("pairs")
    if loop is None or loop.kind != "sample" or paired:
        where = "here are pairs" if paired else "here are batches" if loop else "here is none"
        context.bag.error(
            "E0550",
            f"`{memory.name}` takes in one sample at a time, {where}",
            node.span,
            help="push in a loop over samples: `each sample of digits.train { push past }`",
        )
        return None
    if memory.kind == "replay" and build.source and build.source != memory.data:
        context.bag.error(
            "E0550",
            f"`{memory.name}` keeps samples of `{memory.data}`, this loop goes over "
            f"`{build.source}`",
            node.span,
            help=f"write `memory {memory.name} : replay[{memory.size}] of {build.source}`",
        )
        return None
    if memory.kind == "replay" and build.rows not in ("", memory.name):
        context.bag.error(
            "E0550",
            f"the rows are the slots of `{build.rows}` already",
            node.span,
            help="a loop has one replay; a second memory may be a window",
        )
        return None
    build.pushed.add(memory.name)
    if memory.kind == "replay":
        build.rows = memory.name
    return Push(memory.name, build.site(), node.span)


def require_full(build: Builder, node: ast.Phase | ast.Update | ast.Evaluate, what: str) -> bool:
    """Nothing runs before the memories that are being filled are full; reports where it does."""
    missing = sorted(build.pushed - build.filled)
    if missing:
        build.context.bag.error(
            "E0551",
            f"{what} before `{missing[0]}` is full",
            node.span,
            help=f"put what needs all slots into `when {missing[0]}.full {{ … }}`",
        )
    return not missing
