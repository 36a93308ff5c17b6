"""The declarations of a specification by kind and name, from its files and the library."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from netdsl.diagnostics import Span
from netdsl.sema.scopes import library
from netdsl.syntax import ast

# Kinds whose names stand in one place, so that each name may be declared once among them.
_TOGETHER = {
    kind: group
    for group, kinds in {
        "values": ("param", "let", "control", "global", "function"),
        "network": (
            *("population", "projection", "modulator"),
            *("data", "pairs", "task", "memory", "array"),
        ),
    }.items()
    for kind in kinds
}


@dataclass
class Declarations:
    """Declarations in the order written, the ones of untaken `when` branches left out."""

    tables: dict[str, dict[str, Any]] = field(default_factory=dict)
    groups: dict[str, dict[str, Span]] = field(default_factory=dict)
    everywhere: set[str] = field(default_factory=set)  # names of all branches, taken or not
    dt: ast.Dt | None = None
    edition: ast.Edition | None = None
    claims: list[ast.Claim] = field(default_factory=list)
    allows: list[ast.Allow] = field(default_factory=list)
    records: list[ast.Record] = field(default_factory=list)
    ensembles: list[ast.Ensemble] = field(default_factory=list)

    def find(self, kind: str, name: str) -> Any:
        """The declaration of a name, or None. Optimisers, initialisers and traces of the standard
        library need no import; other library parts are found as `std.NAME`.
        """
        found = self.tables.get(kind, {}).get(name)
        if found is not None:
            return found
        if kind in library.IMPLICIT and "." not in name:
            table = library.module(library.IMPLICIT[kind]) or {}
            return table.get((kind, name))
        if name.startswith("std."):
            return _qualified(kind, name.split(".")[1:])
        return None

    def elsewhere(self) -> set[str]:
        """Names that only untaken branches declare."""
        return self.everywhere - {name for group in self.groups.values() for name in group}

    def names(self, kind: str) -> Iterator[str]:
        """Names of a kind, the implicit ones of the library last."""
        yield from self.tables.get(kind, {})
        if kind in library.IMPLICIT:
            table = library.module(library.IMPLICIT[kind]) or {}
            yield from (name for found, name in table if found == kind)

    def table(self, kind: str) -> dict[str, Any]:
        """The specification's own declarations of a kind."""
        return self.tables.get(kind, {})

    def declare(self, kind: str, node: Any) -> Span | None:
        """Add a declaration; where the name was declared before, its place is returned."""
        self.everywhere.add(node.name)
        group = self.groups.setdefault(_TOGETHER.get(kind, kind), {})
        if node.name in group:
            return group[node.name]
        group[node.name] = node.name_span
        self.tables.setdefault(kind, {})[node.name] = node
        return None

    def replace(self, kind: str, node: Any) -> None:
        """Add a declaration that takes the place of an inherited one of the same name."""
        self.everywhere.add(node.name)
        self.groups.setdefault(_TOGETHER.get(kind, kind), {})[node.name] = node.name_span
        self.tables.setdefault(kind, {})[node.name] = node


def _qualified(kind: str, parts: list[str]) -> Any:
    if len(parts) == 2:
        return (library.module(parts[0]) or {}).get((kind, parts[1]))
    for module in library.MODULES if len(parts) == 1 else ():
        if kind in ("neuron", "function", "rule") and module not in ("neuron", "surrogate", "rule"):
            continue
        found = (library.module(module) or {}).get((kind, parts[0]))
        if found is not None:
            return found
    return None
