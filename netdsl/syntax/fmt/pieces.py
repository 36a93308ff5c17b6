"""What printers produce: statements as texts with nested blocks, before any layout."""

from __future__ import annotations

from dataclasses import dataclass

from netdsl.diagnostics import Span


@dataclass(frozen=True, slots=True)
class Nested:
    """A block `{ … }` of statements."""

    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """One statement: texts and blocks in the order in which they are printed."""

    span: Span
    parts: tuple[str | Nested, ...]

    @property
    def blocks(self) -> tuple[Nested, ...]:
        """The blocks among the parts."""
        return tuple(part for part in self.parts if isinstance(part, Nested))

    def flat(self) -> str:
        """The statement on one line."""
        return " ".join(_flat(part) for part in self.parts)


def _flat(part: str | Nested) -> str:
    if isinstance(part, str):
        return part
    if not part.pieces:
        return "{}"
    return "{ " + "; ".join(piece.flat() for piece in part.pieces) + " }"


def alternatives(
    condition: str, then: Nested, otherwise: Nested, chained: tuple[str | Nested, ...]
) -> tuple[str | Nested, ...]:
    """`when c { … }`, with `else { … }`, or `else when …` where `chained` are its pieces."""
    head: tuple[str | Nested, ...] = (f"when {condition}", then)
    if chained:
        first, *rest = chained
        return (*head, f"else {first}", *rest)
    return (*head, "else", otherwise) if otherwise.pieces else head
