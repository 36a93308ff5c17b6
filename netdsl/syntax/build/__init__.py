"""Parse tree to abstract syntax tree, one file per part of the language."""

from __future__ import annotations

from typing import Any

from lark import Tree

from netdsl.diagnostics import DiagnosticBag
from netdsl.syntax import ast
from netdsl.syntax.build.declarations import DeclarationBuilder


def build_spec(tree: Tree[Any], source: str, bag: DiagnosticBag) -> ast.Spec:
    """Build the whole file; findings of this stage go to `bag`."""
    builder = DeclarationBuilder(source, bag)
    return ast.Spec(builder.items(tree), span=builder.span(tree))


__all__ = ["build_spec"]
