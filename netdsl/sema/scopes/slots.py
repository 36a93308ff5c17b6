"""Slots of memories in modulators: `z[p]`, `z[newest]`, `mean(… over q in past)`.

Of a replay the slots are the rows, so that a bare name is that of this slot. A window has stored
what some variables were; their slots are read by index alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from netdsl.diagnostics import Span
from netdsl.ir.expr import NEWEST, Expr, Reduce, Ref, children, refs, transform
from netdsl.ir.network import Kind, Memory, Place
from netdsl.sema.scopes import expressions, pairs
from netdsl.sema.scopes.scope import Scope, Slot, dotted
from netdsl.sema.scopes.values import Value, bad, number
from netdsl.syntax import ast

BATCH = "batch"
OWN = "own"  # the slot of a window that a modulator's number is of
KINDS = ("sum", "mean", "max", "min", "any")
_MOST = 2  # indices that one value may depend on


class _Bound(Scope):
    """The names inside a reduction over slots."""

    def __init__(self, outer: Scope, name: str, index: Slot) -> None:
        super().__init__(outer.context, outer)
        self.kind, self.name, self.over = outer.kind, name, index

    def slot(self, name: str) -> Slot | None:
        return self.over if name == self.name else super().slot(name)

    @property
    def depth(self) -> int | None:
        outer = super().depth
        return None if outer is None else outer + 1


def is_bound(index: str) -> bool:
    """Whether a slot is one that a reduction goes over."""
    return index.rpartition(":")[2].startswith("slot")


def stored_only(value: Value, window: str, scope: Scope, node: ast.ModulatorDecl) -> None:
    """What has a number for each slot of a window reads what it has stored, and nothing else."""
    kinds = (ast.Emit, ast.Scope, ast.Reads, ast.Waive)
    other = next((part for part in node.body if not isinstance(part, kinds)), None)
    if other is not None:
        scope.context.unsupported(
            "statements of a modulator with a number for each slot of a window are",
            other.span,
            "write it as one expression, of functions",
        )
    elif "" in free(value.expr, scope):
        present_row(node.name, window, scope, value.span)


def present_row(name: str, window: str, scope: Scope, span: Span) -> None:
    """Report the present row where there is a number for each slot of a window (E0183)."""
    scope.context.bag.error(
        "E0183",
        f"`{name}` has a number for each slot of `{window}`, and reads the present row",
        span,
        help="read slots, by the index of the modulator: `x.z[p]`",
    )


def over_slots(node: ast.Call, scope: Scope) -> bool:
    """Whether a reduction goes over slots or rows by an index."""
    over = node.over
    if over is None or over.kind != "over" or over.index is None or len(over.axes) != 1:
        return False
    name = over.axes[0].name
    return name == BATCH or scope.context.declarations.find("memory", name) is not None


def reduction(node: ast.Call, scope: Scope) -> Value:
    """`mean(e over q in past)`."""
    context, over = scope.context, node.over
    assert over is not None and over.index is not None
    name = over.axes[0].name
    memory = None if name == BATCH else context.memories.get(name)
    if scope.depth is None:
        context.bag.error(
            "E0181",
            f"slots are read in modulators, not in {scope.kind}",
            node.span,
            help="let a modulator reduce over them, and read that",
        )
        return bad(node.span)
    if name != BATCH:
        context.use("memory", name)
        if memory is None:
            return bad(node.span)  # its declaration was reported
    if node.func.name not in KINDS:
        context.bag.error(
            "E0181",
            f"`{node.func.name}` does not reduce over slots",
            node.span,
            help="sum, mean, max, min and any do",
        )
        return bad(node.span)
    index = indexed(memory, f"slot{scope.depth}")
    context.hides(over.index, node.span, f"`{over.index}` is an index of slots")
    inner = _Bound(scope, over.index, Slot(name, index))
    body = expressions.translate(node.args[0].value, inner)
    if body.bad or not _fits(body, index, node, scope):
        return bad(node.span)
    return scope.reduce_slots(node.func.name, f"slot:{name}:{index}", body, node)


def indexed(memory: Memory | None, index: str) -> str:
    """What `Ref.slot` says of an index over a memory; one of rows has no name in it."""
    window = memory is not None and memory.kind == "window"
    return f"{memory.name}:{index}" if memory is not None and window else index


def _fits(body: Value, index: str, node: ast.Call, scope: Scope) -> bool:
    """Whether what is reduced depends on its index, and on at most two."""
    assert node.over is not None
    found = {slot for slot in free(body.expr, scope) if not slot.endswith(NEWEST)}
    if index not in found:
        message = f"what is reduced does not depend on `{node.over.index}`"
        help = f"read a slot, as in `z[{node.over.index}]`"
    elif len(found) > _MOST:
        message = "this depends on three slots at once, two indices and the row itself"
        help = "reduce one of them first, in a modulator of its own"
    elif len({slot.partition(":")[0] for slot in found if ":" in slot}) > 1:
        message = "this depends on slots of two windows at once"
        help = "store in one window what is compared"
    else:
        return True
    scope.context.bag.error("E0182", message, node.span, help=help)
    return False


def read(node: ast.Index, scope: Scope) -> Value | None:
    """`z[p]`, `x.z[newest]`, `k[p, q]`; None where the index is none of slots."""
    if len(node.args) == 2:
        return pairs.read(node, scope)
    if len(node.args) != 1 or not isinstance(node.args[0], ast.Name):
        return None
    name, found = node.args[0].id, dotted(node.base)
    index = scope.slot(name)
    if found is not None and scope.vector(found[0]) is not None:
        return None
    if index is None and name != NEWEST:
        return _unbound(node, name, scope)
    if scope.depth is None:
        scope.context.bag.error(
            "E0181",
            f"slots are read in modulators, not in {scope.kind}",
            node.span,
            help="emit it from a modulator, and read that",
        )
        return bad(node.span)
    value = expressions.translate(node.base, scope)
    return value if value.bad else _at(value, index, node, scope)


def _unbound(node: ast.Index, name: str, scope: Scope) -> Value | None:
    """Report what looks like an index of slots in a modulator, and is bound nowhere."""
    context = scope.context
    if scope.depth is None or not context.memories or scope.find((name,), None, node.span):
        return None
    if context.bag.poison("an index", name):
        context.bag.error(
            "E0182",
            f"`{name}` is no index here",
            node.args[0].span,
            help=f"reduce over it, as in `mean(… over {name} in {next(iter(context.memories))})`",
        )
    return bad(node.span)


def _at(value: Value, index: Slot | None, node: ast.Index, scope: Scope) -> Value:
    """The value that an expression of this row has in another."""
    memory = scope.context.memories.get(index.memory) if index is not None else None
    replays = [m.name for m in scope.context.memories.values() if m.kind == "replay"]
    wrong: list[Ref] = []
    several: list[str] = []

    def visit(part: Expr) -> Expr | None:
        if not isinstance(part, Ref) or part.slot or not per_row(part, scope):
            return None
        stored = windows_of(part.path, scope)
        if index is not None and memory is not None and memory.kind == "window":
            if memory.name not in stored:
                wrong.append(part)
            return replace(part, slot=index.index)
        if index is None and stored:
            kept = any(part.path in m.variables for m in scope.context.memories.values())
            having = [*stored, *(replays if kept else ())]  # of a modulator a window alone has it
            several.extend(having if len(having) > 1 else ())
            return replace(part, slot=f"{stored[0]}:{NEWEST}")
        return replace(part, slot=NEWEST if index is None else index.index)

    expr = transform(value.expr, visit)
    own = index is not None and index.index == ""
    if wrong and memory is not None:
        scope.context.bag.error(
            "E0183",
            f"`{wrong[0].path}` is not stored in `{memory.name}`",
            node.span,
            help=f"it stores {', '.join(memory.variables)}: add `{wrong[0].path}` to its list",
        )
        return bad(node.span)
    if several:
        scope.context.bag.error(
            "E0182",
            f"the newest slot of which memory? There are {', '.join(dict.fromkeys(several))}",
            node.span,
            help="let another window store it, under a definition of its own",
        )
        return bad(node.span)
    if any(pairs.unread(part, scope) for part in refs(expr)):
        return pairs.refused(node, scope)
    if expr == value.expr and not own:
        many = any(ref.slot for ref in refs(expr))
        scope.context.bag.error(
            "E0182",
            "this is of one slot already" if many else "this is the same for all slots",
            node.span,
            help="leave the index out",
        )
        return bad(node.span)
    return replace(value, expr=expr, span=node.span)


def windows_of(path: str, scope: Scope) -> list[str]:
    """The windows that store a variable, or that a modulator has its numbers for."""
    context = scope.context
    held = {c.variables[path].memory for c in context.cells.values() if path in c.variables}
    return [m.name for m in context.memories.values() if path in m.variables or m.name in held]


def per_row(ref: Ref, scope: Scope) -> bool:
    """Whether a variable has a value for each row."""
    context = scope.context
    variable = context.variables.get(ref.path)
    if variable is not None:
        return variable.kind is Kind.SAMPLE
    for cell in context.cells.values():
        if ref.path in cell.variables:
            places = (Place.ROW, Place.UNIT, Place.SLOT, Place.PAIR)
            return cell.variables[ref.path].place in places
    return True  # a variable of the modulator's own


def free(expr: Expr, scope: Scope) -> set[str]:
    """The slots that a value depends on: "" for the row itself."""
    return set(_free(expr, scope, frozenset()))


def _free(expr: Expr, scope: Scope, bound: frozenset[str]) -> Iterator[str]:
    if isinstance(expr, Ref) and per_row(expr, scope):
        yield from (slot for slot in expr.slot.split(",") if slot not in bound)
    if isinstance(expr, Reduce) and expr.over_slots is not None:
        bound |= {expr.over_slots[1]}
    for child in children(expr):
        yield from _free(child, scope, bound)


def size(node: ast.Call, scope: Scope) -> Value:
    """`size(h)`, and in a modulator `size(z)` of values of neurons: how many these are."""
    found = dotted(node.args[0].value) if len(node.args) == 1 else None
    name = found[0][0] if found is not None else ""
    many = scope.context.scope.population_size(name) if found and len(found[0]) == 1 else None
    if many is None and len(node.args) == 1 and scope.depth is not None:
        value = expressions.translate(node.args[0].value, scope)
        many = _width(value, scope)
        if value.bad:
            return value
    if many is None:
        known = scope.context.declarations.names("population")
        scope.context.unknown("population", name or "?", node.span, known)
        return bad(node.span)
    return number(many, node.span)


def _width(value: Value, scope: Scope) -> int | None:
    """Neurons of the population whose values these are."""
    if value.bad or value.place not in (Place.UNIT, Place.NEURON):
        return None
    cells = scope.context.cells.values()
    owners = {cell.name for ref in refs(value.expr) for cell in cells if ref.path in cell.variables}
    sizes = {scope.context.scope.population_size(owner) for owner in owners}
    return next(iter(sizes)) if len(sizes) == 1 else scope.width()


def modulators_slot(node: ast.ModulatorDecl, scope: Scope) -> Slot | None:
    """`modulator w[p in past]`: what `p` stands for; None after a report."""
    assert node.slot is not None
    context, name = scope.context, node.slot.memory.name
    memory = context.memories.get(name)
    if name == BATCH:
        return Slot(BATCH, "")
    if memory is None:
        known = context.declarations.table("memory")
        if name not in known:
            context.unknown("memory", name, node.slot.memory.span, known)
        return None
    context.use("memory", name)
    window = memory.kind == "window"
    return Slot(name, f"{name}:{OWN}" if window else "")
