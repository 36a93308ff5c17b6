"""How far definitions may be written out: what one line says with functions, `let`s and `def`s.

`function f(x) = x + x`, nested forty times, is short to write and has 2^40 terms. Everything that
reads definitions goes through here, so that such a text is refused at the line that asks for it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from netdsl.diagnostics import DiagnosticBag
from netdsl.ir.expr import Expr, refs
from netdsl.syntax import ast

MAX_DEPTH = 160  # expressions within expressions, through all definitions
MAX_SIZE = 4000  # operations and operands of one expression, written out
MAX_WORK = 40_000  # parts translated for one line of the text

# Each level takes a dozen calls, here and in the passes that walk the result.
sys.setrecursionlimit(max(sys.getrecursionlimit(), 10_000))


class Expansion:
    """Counts what is being written out; reports once for each line that goes too far."""

    def __init__(self, bag: DiagnosticBag) -> None:
        self.bag = bag
        self._extents: dict[str, tuple[int, int]] = {}  # size and depth of definitions, by path
        self._outer: ast.Expr | None = None
        self._depth = self._work = 0
        self._open: list[str] = []

    def enter(self, node: ast.Expr) -> bool:
        """Go one expression further in; False, after a report, where that is too far.

        What is translated at one place again and again, as the components of a vector, counts
        together.
        """
        if self._depth == 0:
            same = self._outer is not None and self._outer.span == node.span
            self._outer, self._work = node, self._work if same and node.span.line else 0
        self._depth += 1
        self._work += 1
        if self._depth <= MAX_DEPTH and self._work <= MAX_WORK:
            return True
        how = "deep" if self._depth > MAX_DEPTH else "large"
        self._report(f"this is too {how} once its definitions are written out")
        self._work = MAX_WORK  # nothing more of this line
        return False

    def leave(self) -> None:
        """Come back from where `enter` led."""
        self._depth -= 1

    @contextmanager
    def of(self, what: str, name: str, node: ast.Node) -> Iterator[bool]:
        """Within the definition of `name`; yields False, after a report, where it is a circle."""
        known = f"{what} {name}"
        circle = known in self._open
        if circle:
            names = [entry.split()[-1] for entry in self._open[self._open.index(known) :]]
            message = f"{what} `{name}` is defined by itself: {' -> '.join([*names, name])}"
            self.bag.error("E0109", message, getattr(node, "name_span", node.span))
        self._open.append(known)
        try:
            yield not circle
        finally:
            self._open.pop()

    def fits(self, expr: Expr, node: ast.Expr) -> bool:
        """Whether an expression is small enough, definitions as reads; reports where it is not."""
        return self._within((expr.size, expr.depth), node)

    def written_out(self, expr: Expr, node: ast.Expr, path: str | None = None) -> bool:
        """Whether an expression is small enough with all definitions that it reads written out.

        With `path` it is a definition itself, and its extent is kept for those who read it.
        """
        size, depth = expr.size, expr.depth
        known = [self._extents[r.path] for r in refs(expr) if r.path in self._extents]
        extent = (
            size + sum(inner for inner, _ in known),
            depth + max((inner for _, inner in known), default=0),
        )
        if path is not None:
            self._extents[path] = extent
        return self._within(extent, node)

    def _within(self, extent: tuple[int, int], node: ast.Expr) -> bool:
        size, depth = extent
        if size <= MAX_SIZE and depth <= MAX_DEPTH:
            return True
        how = "operations" if size > MAX_SIZE else "levels"
        self._report(f"this has too many {how} once its definitions are written out", node)
        return False

    def _report(self, message: str, node: ast.Expr | None = None) -> None:
        place = self._outer if self._depth > 0 else node
        assert place is not None
        if self.bag.poison("expansion", str(place.span)):
            self.bag.error(
                "E0121",
                message,
                place.span,
                help=f"at most {MAX_SIZE} operations and {MAX_DEPTH} levels: store what is read "
                "again in a state, or say it with fewer functions",
            )
