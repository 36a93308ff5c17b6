"""`ensemble 30 vary weights`."""

from __future__ import annotations

from netdsl.diagnostics import Label
from netdsl.ir.ensemble import VARIED, Ensemble
from netdsl.sema.scopes import expressions
from netdsl.sema.scopes.context import Context
from netdsl.syntax import ast

_SHARED = {
    "draws": "members share data and the draws of every step",
    "data": "members share the data and their order",
    "connectivity": "members have the same synapses",
}


def elaborate_ensemble(context: Context) -> Ensemble | None:
    """The ensemble of a specification; None without one or after a report."""
    nodes = context.declarations.ensembles
    if not nodes:
        return None
    first, *others = nodes
    for node in others:
        context.bag.error(
            "E0102",
            "a specification has one ensemble",
            node.span,
            Label(first.span, "first declared here"),
        )
    count = expressions.whole(first.count, context.scope, "the number of members", least=1)
    vary = _vary(first, context)
    if count is None or not vary:
        return None
    return Ensemble(count, vary, first.span)


def _vary(node: ast.Ensemble, context: Context) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for ref in node.vary:
        name = str(ref)
        if name in VARIED:
            found[name] = None
        elif name in _SHARED:
            context.unsupported(
                f"ensembles that vary {name} are",
                ref.span,
                f"{_SHARED[name]}: run `--seeds 30`, whose runs differ in all draws",
            )
        else:
            context.unknown("part that can vary", name, ref.span, VARIED, "`ensemble`")
    return tuple(found)
