"""Declarations of the language that no backend of this edition carries: reported, never ignored."""

from __future__ import annotations

from netdsl.sema.scopes.context import Context

_KINDS = {
    "fit": ("fitted tables are", "fit the table in Python from `netdsl.run`'s readouts"),
}


def report_unsupported(context: Context) -> None:
    """Report every declaration of these kinds."""
    for kind, (what, help) in _KINDS.items():
        for node in context.declarations.table(kind).values():
            context.dead.add(node.name)
            context.unsupported(what, node.name_span, help)
