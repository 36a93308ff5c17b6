"""Layout: which statement goes on which line, with comments and empty lines in their places."""

from __future__ import annotations

from dataclasses import dataclass, field

from lark import Token

from netdsl.syntax.fmt.pieces import Nested, Piece
from netdsl.syntax.fmt.wrap import WIDTH, wrap
from netdsl.syntax.lexer import Comment

_INDENT = "  "
Position = tuple[int, int]
_END: Position = (1 << 60, 0)


@dataclass(slots=True)
class _Writer:
    comments: list[Comment]
    braces: list[tuple[Position, Position]]
    out: list[str] = field(default_factory=list)
    next_comment: int = 0
    last_line: int = 0  # of the source, for empty lines

    def statements(self, pieces: tuple[Piece, ...], indent: int, end: Position) -> None:
        """A block's statements, and its comments up to `end`."""
        index = 0
        while index < len(pieces):
            piece = pieces[index]
            self.own_line_comments(_start(piece), indent)
            group = self.same_line(pieces, index, indent)
            self.hoist(group[-1], indent)
            self.blank(piece.span.line)
            if len(group) > 1:
                self.line("; ".join(p.flat() for p in group), indent)
                self.last_line = piece.span.line
            else:
                self.statement(piece, indent)
            self.trailing(
                self.last_line,
                _start(pieces[index + len(group)]) if index + len(group) < len(pieces) else end,
            )
            index += len(group)
        self.own_line_comments(end, indent)

    def same_line(self, pieces: tuple[Piece, ...], index: int, indent: int) -> list[Piece]:
        """Statements that the author put on one line with this one, if they still fit."""
        first = pieces[index]
        group = [first]
        if not _one_line(first):
            return group
        for piece in pieces[index + 1 :]:
            if not _one_line(piece) or piece.span.line != first.span.line:
                break
            group.append(piece)
        width = len("; ".join(p.flat() for p in group)) + len(_INDENT) * indent
        return group if width <= WIDTH else [first]

    def statement(self, piece: Piece, indent: int) -> None:
        if not piece.blocks or self.stays_flat(piece, indent):
            self.line(piece.flat(), indent)
        else:
            self.expanded(piece, indent)
        self.last_line = piece.span.end_line

    def stays_flat(self, piece: Piece, indent: int) -> bool:
        if all(not block.pieces for block in piece.blocks):
            return not self.comment_before((piece.span.end_line, piece.span.end_column))
        fits = len(_INDENT) * indent + len(piece.flat()) <= WIDTH
        return fits and _one_line(piece)

    def expanded(self, piece: Piece, indent: int) -> None:
        """`HEAD {`, the statements, `} TAIL`."""
        places = self.braces_of(piece)
        text: list[str] = []
        block = 0
        for part in piece.parts:
            if isinstance(part, str):
                text.append(part)
                continue
            opened, closed = places[block]
            block += 1
            self.line(" ".join([*text, "{"]), indent)
            first = _start(part.pieces[0]) if part.pieces else closed
            self.last_line = opened[0]
            self.trailing(opened[0], first)
            if self.next_comment < len(self.comments) or part.pieces:
                self.last_line = max(self.last_line, self.next_line(first) - 1)
            self.statements(part.pieces, indent + 1, closed)
            text = ["}"]
        self.line(" ".join(text), indent)

    def braces_of(self, piece: Piece) -> list[tuple[Position, Position]]:
        """Where the piece's blocks stand: the last outermost braces of its text."""
        start, end = _start(piece), (piece.span.end_line, piece.span.end_column)
        inside = [pair for pair in self.braces if start <= pair[0] and pair[1] <= end]
        outer = [p for p in inside if not any(q[0] < p[0] and p[1] < q[1] for q in inside)]
        count = len(piece.blocks)
        if len(outer) < count:
            return [(start, end)] * count
        return outer[-count:]

    # ------------------------------------------------------------ comments and empty lines

    def comment_before(self, end: Position) -> bool:
        return self.next_comment < len(self.comments) and self.position() < end

    def position(self) -> Position:
        span = self.comments[self.next_comment].span
        return (span.line, span.column)

    def take(self) -> Comment:
        self.next_comment += 1
        return self.comments[self.next_comment - 1]

    def next_line(self, other: Position) -> int:
        """The source line of what comes next: a comment or the position given."""
        if self.comment_before(other):
            return self.position()[0]
        return other[0]

    def own_line_comments(self, end: Position, indent: int) -> None:
        while self.comment_before(end):
            comment = self.take()
            self.blank(comment.span.line)
            self.line(comment.text, indent)
            self.last_line = comment.span.line

    def hoist(self, piece: Piece, indent: int) -> None:
        """Comments in the middle of a statement that will be one line go before it."""
        end = (piece.span.end_line, piece.span.end_column)
        if piece.blocks and not self.stays_flat(piece, indent):
            end = self.braces_of(piece)[0][0]
        while self.comment_before(end):
            self.blank(piece.span.line)
            self.line(self.take().text, indent)
            self.last_line = piece.span.line

    def trailing(self, line: int, before: Position) -> None:
        if self.comment_before(before) and self.position()[0] == line:
            self.out[-1] += "  " + self.take().text

    def blank(self, line: int) -> None:
        if self.out and self.last_line and line > self.last_line + 1:
            self.out.append("")

    def line(self, text: str, indent: int) -> None:
        pad = _INDENT * indent
        if text.startswith("#"):
            self.out.append(pad + text)
        else:
            self.out.extend(wrap(text, pad))


def arrange(pieces: list[Piece], comments: list[Comment], tokens: list[Token]) -> str:
    """The text of a file; `tokens` are those of the source, for the places of its braces."""
    writer = _Writer(comments, _brace_pairs(tokens))
    writer.statements(tuple(pieces), 0, _END)
    return "\n".join(writer.out) + "\n" if writer.out else ""


def _start(piece: Piece) -> Position:
    return (piece.span.line, piece.span.column)


def _one_line(piece: Piece) -> bool:
    return piece.span.line > 0 and piece.span.line == piece.span.end_line


def _brace_pairs(tokens: list[Token]) -> list[tuple[Position, Position]]:
    pairs: list[tuple[Position, Position]] = []
    stack: list[Position] = []
    for token in tokens:
        if token.type == "LBRACE":
            stack.append((token.line or 0, token.column or 0))
        elif token.type == "RBRACE" and stack:
            pairs.append((stack.pop(), (token.line or 0, token.column or 0)))
    return sorted(pairs)


__all__ = ["Nested", "arrange"]
