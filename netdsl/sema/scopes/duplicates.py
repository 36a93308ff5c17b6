"""Names declared twice in one place: arguments, parts of templates, axes, types, parts of data.

Declarations of a file and variables of a cell are compared where they are collected, across files
and parents.
"""

from __future__ import annotations

from collections.abc import Iterable

from netdsl.diagnostics import DiagnosticBag, Label, Span
from netdsl.syntax import ast

_PARTS = (ast.Param, ast.State)
# What shares its names in data and tasks: parts of the source, what is done to them, and the rest.
_FIELDS = (ast.Setting, ast.Param, ast.Let, ast.TaskDraw, ast.Field, ast.Signal)
_DATA_PARTS: tuple[tuple[type[ast.Named], ...], ...] = ((ast.Split,), (ast.Augment,), _FIELDS)


def report(spec: ast.Spec, bag: DiagnosticBag) -> None:
    """One error for each name of a file that its own list or body has declared before."""
    for node in ast.walk(spec):
        params = () if isinstance(node, ast.NeuronDecl) else getattr(node, "params", ())
        if isinstance(node, ast.OptimiserDecl | ast.ModulatorDecl):
            params = (*params, *(part for part in node.body if isinstance(part, _PARTS)))
        if not isinstance(node, ast.TaskDecl):
            _twice(((param.name, param.name_span) for param in params), bag)
        if isinstance(node, ast.PopulationDecl):
            _twice(((dim.name or "", dim.span) for dim in node.dims), bag)
            _twice(((count.name, count.span) for count in node.types), bag)
        elif isinstance(node, ast.DataDecl | ast.TaskDecl):
            for kinds in _DATA_PARTS:
                parts = [part for part in node.body if isinstance(part, kinds)]
                own = params if kinds is _FIELDS else ()
                _twice(((part.name, part.name_span) for part in (*own, *parts)), bag)
        elif isinstance(node, ast.TypeRef):
            _twice(((choice, node.span) for choice in node.choices), bag)


def _twice(names: Iterable[tuple[str, Span]], bag: DiagnosticBag) -> None:
    places: dict[str, Span] = {}
    for name, span in names:
        if name and name in places:
            first = Label(places[name], "first declared here")
            bag.error("E0102", f"`{name}` is declared twice", span, first)
        places.setdefault(name, span)
