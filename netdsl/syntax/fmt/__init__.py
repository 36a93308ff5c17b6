"""The formatter: a tree, or a text with its comments, back to canonical text."""

from __future__ import annotations

from netdsl.diagnostics import DiagnosticError
from netdsl.syntax import ast
from netdsl.syntax.fmt.arrange import arrange
from netdsl.syntax.fmt.declarations import DeclarationPrinter
from netdsl.syntax.fmt.expressions import show
from netdsl.syntax.lexer import lex
from netdsl.syntax.parser import parse

__all__ = ["format_source", "format_spec", "show"]


def format_spec(spec: ast.Spec) -> str:
    """The text of a tree, without comments."""
    return arrange(DeclarationPrinter().items(spec.items), [], [])


def format_source(text: str, source: str = "<text>") -> str:
    """A text in canonical layout.

    Comments stay, at most one empty line is kept between statements, a block written on one
    line stays there while it fits. Raises DiagnosticError when the text has errors.
    """
    result = parse(text, source)
    if not result.ok:
        raise DiagnosticError(*result.diagnostics)
    pieces = DeclarationPrinter().items(result.spec.items)
    return arrange(pieces, list(result.comments), lex(text, source).tokens)
