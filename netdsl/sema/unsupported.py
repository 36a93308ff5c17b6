"""Declarations of the language that no backend of this edition carries: reported, never ignored."""

from __future__ import annotations

from netdsl.sema.context import Context

_KINDS = {
    "task": ("E0849", "generated data (`task`) is", "write the samples to a file and load it"),
    "memory": ("E0846", "memories are", "keep what the rule needs in traces of its cells"),
    "table": ("E0850", "tables are", "use one projection per pair of types"),
    "rewire": ("E0846", "rewiring is", "use a fixed sparse projection"),
    "fit": ("E0851", "fitted tables are", "fit the table in Python from `netdsl.run`'s readouts"),
    "celltype": ("E0837", "signed cell types are", "put the sign into each delivery"),
}


def report_unsupported(context: Context) -> None:
    """Report every declaration of these kinds."""
    for kind, (code, what, help) in _KINDS.items():
        for node in context.declarations.table(kind).values():
            context.unsupported(code, what, node.name_span, help)
