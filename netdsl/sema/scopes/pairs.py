"""Numbers for each two rows: `modulator k[p in batch, q in batch]`, read as `k[p, q]`."""

from __future__ import annotations

from dataclasses import replace

from netdsl.ir.expr import NEWEST, SECOND, Ref
from netdsl.ir.network import Place
from netdsl.sema.scopes.scope import Scope, Slot, dotted
from netdsl.sema.scopes.values import Value, bad
from netdsl.syntax import ast


def other(node: ast.ModulatorDecl, first: Slot, scope: Scope) -> Slot | None:
    """What the second index stands for; None after a report."""
    assert node.other is not None
    bag, memory = scope.context.bag, node.other.memory
    held = scope.context.memories.get(first.memory)
    if memory.name != first.memory:
        bag.error(
            "E0182",
            f"`{node.name}` is of two slots of one memory, not of `{first.memory}` and `{memory}`",
            memory.span,
            help=f"write `{node.other.name} in {first.memory}`",
        )
    elif node.on or (held is not None and held.kind == "window"):
        bag.error(
            "E0182",
            "a modulator with a number for each two slots is on no population, and its slots are "
            "the rows of a batch or of a replay",
            node.other.span,
            help="reduce over one of the two where it is emitted",
        )
    else:
        return Slot(first.memory, f"{first.memory}/{SECOND}")
    return None


def is_pair(path: str, scope: Scope) -> bool:
    """Whether a variable has a number for each two rows."""
    for cell in scope.context.cells.values():
        if path in cell.variables:
            return cell.variables[path].place is Place.PAIR
    return False


def unread(ref: Ref, scope: Scope) -> bool:
    """Whether such a variable is read with fewer than two indices."""
    return "," not in ref.slot and is_pair(ref.path, scope)


def refused(node: ast.Expr, scope: Scope) -> Value:
    """Report one that is read with fewer than two indices."""
    found = dotted(node.base if isinstance(node, ast.Index) else node)
    name = ".".join(found[0]) if found is not None else "it"
    scope.context.bag.error(
        "E0182",
        f"`{name}` has a number for each two slots",
        node.span,
        help=f"read it of two, as in `mean({name}[p, q] over q in batch)`",
    )
    return bad(node.span)


def read(node: ast.Index, scope: Scope) -> Value | None:
    """`k[p, q]`; None where the indices are none of slots."""
    from netdsl.sema.scopes import expressions

    names = [arg.id for arg in node.args if isinstance(arg, ast.Name)]
    found = [scope.slot(name) for name in names]
    known = [n == NEWEST or s is not None for n, s in zip(names, found, strict=True)]
    if len(names) < 2 or not all(known):
        return None
    value = expressions.translate(node.base, scope)
    if value.bad:
        return value
    if not isinstance(value.expr, Ref) or not is_pair(value.expr.path, scope):
        scope.context.bag.error(
            "E0182",
            "this has no number for each two slots",
            node.span,
            help="leave one index out, or declare a modulator with two",
        )
        return bad(node.span)
    first, second = (NEWEST if slot is None else slot.index for slot in found)
    if NEWEST in (first, second):
        scope.context.bag.error(
            "E0182",
            "numbers for each two slots are not read of the newest one",
            node.span,
            help="emit that from a modulator with one index, which reads `[newest]` itself",
        )
        return bad(node.span)
    if second == "" or first == second:
        scope.context.bag.error(
            "E0182",
            "the second index goes over slots, or is the second of the modulator",
            node.span,
            help="write this row first, as the modulator declares it",
        )
        return bad(node.span)
    return replace(
        value, expr=replace(value.expr, slot=f"{first},{second}"), place=Place.ROW, span=node.span
    )
