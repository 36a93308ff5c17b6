"""What all builders share: dispatch by rule name, spans, references, parameters."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias, cast

from lark import Token, Tree

from netdsl.diagnostics import Diagnostic, DiagnosticBag, Span
from netdsl.syntax import ast

Part: TypeAlias = Any
"""A child of a tree: Tree, Token, or None where an optional part is absent."""


def shorten_unit(text: str) -> str:
    """The singular of a counted unit: `steps` is `step`, `batches` is `batch`."""
    if text in ("batches", "batch"):
        return "batch"
    for word in ("step", "sample", "epoch", "update", "trial", "iteration"):
        if text in (word, word + "s"):
            return word
    return text


MAX_DEPTH = 120


class BaseBuilder:
    """Helpers over a parse tree of one file."""

    def __init__(self, source: str, bag: DiagnosticBag) -> None:
        self.source = source
        self.bag = bag
        self._depth = 0

    def dispatch(self, tree: Tree[Any], family: str) -> Any:
        """Call the method `FAMILY_RULE` with the children of the tree and its span."""
        method = getattr(self, f"{family}_{tree.data}")
        return method(tree.children, self.span(tree))

    @contextmanager
    def deeper(self, what: str, span: Span, advice: str) -> Iterator[bool]:
        """One level further down; yields False, after reporting it, where that is too deep."""
        fits = self._depth < MAX_DEPTH
        if not fits:
            message = f"this {what} is nested more than {MAX_DEPTH} levels deep"
            self.error("E0010", message, span, advice)
        self._depth += 1
        try:
            yield fits
        finally:
            self._depth -= 1

    def span(self, part: Tree[Any] | Token) -> Span:
        """Where a part stands."""
        place = part if isinstance(part, Token) else part.meta
        if isinstance(part, Tree) and part.meta.empty:
            return Span(self.source, 1, 1, 1, 1)
        return Span(
            self.source,
            place.line or 1,
            place.column or 1,
            place.end_line or 1,
            place.end_column or 1,
        )

    def error(self, code: str, message: str, span: Span, help: str | None = None) -> None:
        """Report a mistake found while building."""
        self.bag.add(Diagnostic(code, message, span, (), help))

    # ------------------------------------------------------------ small parts

    def ref(self, tree: Tree[Any]) -> ast.Ref:
        """`a.b.c`"""
        return ast.Ref(".".join(str(t) for t in tree.children), span=self.span(tree))

    def refs(self, tree: Tree[Any] | None) -> tuple[ast.Ref, ...]:
        """`a, b.c`"""
        return () if tree is None else tuple(self.ref(t) for t in tree.children)

    def text(self, token: Token | None) -> str | None:
        """A name, or None."""
        return None if token is None else str(token)

    def string(self, token: Token) -> str:
        """The contents of a quoted text."""
        return str(token)[1:-1]

    def label(self, tree: Tree[Any]) -> str:
        """A level's name with hyphens, however it was spelled."""
        return "".join(str(t) for t in tree.children).replace("_", "-")

    def type(self, tree: Tree[Any] | None) -> ast.TypeRef | None:
        """A type position."""
        if tree is None:
            return None
        kind = tree.data.removeprefix("type_")
        words = tuple(str(t) for t in tree.children)
        span = self.span(tree)
        if kind == "enum":
            return ast.TypeRef("enum", "", words, span=span)
        text = shorten_unit(words[0]) if kind == "unit" else words[0]
        return ast.TypeRef(cast(Any, kind), text, span=span)

    def once_each(self, clauses: list[Tree[Any]], what: str) -> None:
        """Refuse a clause that is given twice."""
        seen: set[str] = set()
        for clause in clauses:
            kind = clause.data.removeprefix("clause_")
            if kind in seen:
                message = f"this {what} has two `{kind}` clauses"
                self.error("E0009", message, self.span(clause), "keep one of them")
            seen.add(kind)
