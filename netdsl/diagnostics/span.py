"""Where a piece of a spec stands in its file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A range of source text; lines and columns count from 1, `end_column` is exclusive."""

    source: str
    line: int
    column: int
    end_line: int
    end_column: int

    def to(self, other: Span) -> Span:
        """The range from the start of this span to the end of `other`."""
        return Span(self.source, self.line, self.column, other.end_line, other.end_column)

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}"


NO_SPAN = Span("<none>", 0, 0, 0, 0)
"""The span of nodes that no file contains (built by tests or by the compiler itself)."""
