"""Names declared twice in one place: arguments, parts of templates, axes, types and splits.

Declarations of a file and variables of a cell are compared where they are collected, across files
and parents.
"""

from __future__ import annotations

from collections.abc import Iterable

from netdsl.diagnostics import DiagnosticBag, Label, Span
from netdsl.syntax import ast

_PARTS = (ast.Param, ast.State)


def report(spec: ast.Spec, bag: DiagnosticBag) -> None:
    """One error for each name of a file that its own list or body has declared before."""
    for node in ast.walk(spec):
        params = () if isinstance(node, ast.NeuronDecl) else getattr(node, "params", ())
        if isinstance(node, ast.OptimiserDecl | ast.ModulatorDecl):
            params = (*params, *(part for part in node.body if isinstance(part, _PARTS)))
        _twice(((param.name, param.name_span) for param in params), bag)
        if isinstance(node, ast.PopulationDecl):
            _twice(((dim.name or "", dim.span) for dim in node.dims), bag)
            _twice(((count.name, count.span) for count in node.types), bag)
        elif isinstance(node, ast.DataDecl):
            splits = (part for part in node.body if isinstance(part, ast.Split))
            _twice(((split.name, split.name_span) for split in splits), bag)
        elif isinstance(node, ast.TypeRef):
            _twice(((choice, node.span) for choice in node.choices), bag)


def _twice(names: Iterable[tuple[str, Span]], bag: DiagnosticBag) -> None:
    places: dict[str, Span] = {}
    for name, span in names:
        if name and name in places:
            first = Label(places[name], "first declared here")
            bag.error("E0102", f"`{name}` is declared twice", span, first)
        places.setdefault(name, span)
