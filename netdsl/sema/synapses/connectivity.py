"""Which synapses of a projection exist."""

from __future__ import annotations

from dataclasses import dataclass, replace

from netdsl.ir.network import Connectivity
from netdsl.sema.scopes import arrays, expressions
from netdsl.sema.scopes.context import Context
from netdsl.sema.synapses import windows
from netdsl.syntax import ast

_KINDS = ("dense", "one_to_one", "sparse", "fixed_in", "fixed_out")
_BACKWARDS = ("transpose", "mask_transpose")
_WORDS = (*_KINDS, *windows.KINDS, "no_self", "fixed", *_BACKWARDS)
_DRAWS = ("bernoulli", "exact", "pairs_with_replacement")


@dataclass(frozen=True)
class Wiring:
    """Connectivity with what else the head of a projection says about its weights."""

    connectivity: Connectivity
    fixed: bool = False
    transpose_of: str | None = None
    mask_of: str | None = None
    broken: bool = False  # reported: nothing can be said of its weights
    windows: ast.Connectivity | None = None  # the clause that shares a kernel

    @property
    def backwards_of(self) -> str | None:
        """The projection whose synapses this one reads backwards."""
        return self.transpose_of or self.mask_of


def connectivity(node: ast.ProjectionDecl, context: Context) -> Wiring:
    """Read the clauses between the ends and the braces of a projection."""
    wiring, stated = Wiring(Connectivity(span=node.span)), False
    for clause in node.connectivity:
        name = clause.name
        if name == "from":
            wiring, stated = _array(clause, wiring, context), True
        elif name in windows.KINDS:
            found = replace(wiring.connectivity, span=clause.span)
            if name != "shared_over":  # which says no more than how a full projection is shared
                found = replace(found, kind=name)
            wiring = replace(wiring, connectivity=found, windows=clause)
            stated = True
        elif name in _KINDS:
            wiring = replace(wiring, connectivity=_kind(clause, wiring.connectivity, context))
            stated = True
        elif name == "no_self":
            found = replace(wiring.connectivity, self_connections=False)
            wiring = replace(wiring, connectivity=found)
        elif name == "fixed":
            wiring = replace(wiring, fixed=True)
        elif name in _BACKWARDS and clause.of is not None:
            wiring, stated = _transpose(clause, wiring, context), True
        else:
            context.unknown("connectivity", name, clause.span, _WORDS)
            stated = True
    if not stated:
        context.bag.error(
            "E0631",
            f"projection `{node.name}` does not say which synapses exist",
            node.name_span,
            help="add `dense`, `one_to_one`, `sparse(p = 0.1)`, `fixed_in(n)`, `fixed_out(n)`, "
            "`conv(kernel = 3)` or `pool(2)`",
        )
    return wiring


def _transpose(clause: ast.Connectivity, wiring: Wiring, context: Context) -> Wiring:
    assert clause.of is not None
    owner = clause.of.name
    if owner not in context.projections:
        known = list(context.projections)
        if context.declarations.find("projection", owner) is not None:
            context.bag.error(
                "E0632",
                f"`{owner}` is declared below its transpose",
                clause.of.span,
                help=f"move `{owner}` up",
            )
        else:
            context.unknown("projection", owner, clause.of.span, known)
        return replace(wiring, broken=True)
    context.use("projection", owner)
    original = context.projections[owner]
    found = original.connectivity
    if clause.name == "transpose":
        return replace(wiring, transpose_of=owner, connectivity=found)
    if original.carrier is not None or found.windows is not None or found.kind == "one_to_one":
        why = "is one to one" if found.kind == "one_to_one" else "shares a kernel"
        if original.carrier is not None:
            why = f"has the synapses of `{original.carrier}`"
        context.bag.error(
            "E0650",
            f"`{owner}` {why}: it has no mask to transpose",
            clause.span,
            help="name the projection that has the synapses",
        )
        return replace(wiring, broken=True)
    return replace(wiring, mask_of=owner, connectivity=found)


def _array(clause: ast.Connectivity, wiring: Wiring, context: Context) -> Wiring:
    """`from wiring.mask`."""
    assert clause.of is not None
    if not arrays.named(clause.of.parts, context):
        known = context.declarations.names("array")
        context.unknown("array", clause.of.name, clause.of.span, known)
        return replace(wiring, broken=True)
    found = wiring.connectivity
    if found.kind != "dense":
        message = f"`from` and `{found.kind}` both say which synapses exist"
        context.bag.error("E0110", message, clause.span, help="leave one of them out")
    found = replace(found, kind="array", array=clause.of.name, span=clause.span)
    return replace(wiring, connectivity=found)


def _kind(clause: ast.Connectivity, before: Connectivity, context: Context) -> Connectivity:
    found = replace(before, kind=clause.name)
    args = {arg.name or _first(clause.name): arg for arg in clause.args}
    if clause.name == "sparse":
        return _sparse(clause, args, found, context)
    if clause.name in ("fixed_in", "fixed_out"):
        count = args.pop("n", None)
        if count is None:
            context.bag.error(
                "E0110",
                f"`{clause.name}` needs a number of synapses",
                clause.span,
                help=f"as in `{clause.name}(10)`",
            )
        else:
            what = "a number of synapses"
            number = expressions.whole(count.value, context.scope, what, least=1)
            found = replace(found, number=number)
    _leftover(clause, args, context)
    return found


def _first(kind: str) -> str:
    return "p" if kind == "sparse" else "n"


def _sparse(
    clause: ast.Connectivity, args: dict[str, ast.Arg], found: Connectivity, context: Context
) -> Connectivity:
    p, draw = args.pop("p", None), args.pop("draw", None)
    if p is None:
        context.bag.error(
            "E0110", "`sparse` needs a probability", clause.span, help="as in `sparse(p = 0.1)`"
        )
        return found
    value = expressions.constant(p.value, context.scope, "a probability").constant
    if value is not None and not 0 <= value <= 1:
        context.bag.error("E0202", f"a probability is in [0, 1], this is {value:g}", p.value.span)
    elif value is not None:
        found = replace(found, probability=float(value))
    if draw is not None:
        word = draw.value.id if isinstance(draw.value, ast.Name) else ""
        chosen = context.scope.find((word,), None, draw.value.span) if word not in _DRAWS else None
        word = chosen.text or word if chosen is not None else word  # a parameter that is a choice
        if word not in _DRAWS:
            context.unknown("way to draw", word or "?", draw.value.span, _DRAWS)
        else:
            found = replace(found, draw=word)
    _leftover(clause, args, context)
    return found


def _leftover(clause: ast.Connectivity, args: dict[str, ast.Arg], context: Context) -> None:
    for arg in args.values():
        context.bag.error("E0110", f"`{clause.name}` does not take this", arg.span)
