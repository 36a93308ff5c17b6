"""Lints: declarations that nothing uses."""

from __future__ import annotations

from netdsl.ir.network import Network
from netdsl.sema.scopes.context import Context
from netdsl.syntax import ast

_WORDS = {
    "param": "parameter",
    "let": "`let`",
    "control": "control",
    "global": "global state",
    "neuron": "cell",
    "synapse": "synapse template",
    "rule": "rule",
    "optimiser": "optimiser",
    "initialiser": "initialiser",
    "data": "data",
    "pairs": "pairs",
    "task": "task",
    "loss": "loss",
    "rewire": "rewiring",
    "array": "array file",
}


def report(context: Context, network: Network, spec: ast.Spec) -> None:
    """Report what is declared and never mentioned, in any branch of any `when`."""
    mentioned: set[str] | None = None
    for kind, word in _WORDS.items():
        for name, node in context.declarations.table(kind).items():
            imported = node.span.source.startswith("std.")
            if ("data" if kind == "task" else kind, name) in context.used or imported:
                continue
            if node.span.source != network.source:
                continue
            if mentioned is None:
                mentioned = _mentioned(spec)
            if name in mentioned:
                continue
            context.bag.lint(
                "L0101",
                f"{word} `{name}` is never used",
                node.name_span,
                help=f"remove it, or use it: nothing depends on `{name}`",
            )


def _mentioned(spec: ast.Spec) -> set[str]:
    """Names that some expression or reference of the file uses."""
    names: set[str] = set()
    for node in ast.walk(spec):
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.Ref):
            names.update(node.parts)
    return names
