"""Newlines to separators: which ends of lines end a statement."""

from __future__ import annotations

from lark import Token

from netdsl.syntax.brackets import CLOSERS, OPENERS
from netdsl.syntax.lexer import NEWLINE

SEPARATOR = "_SEP"
# After these a statement cannot be complete, so the line goes on.
_OPERATORS = frozenset(
    ("COMPARE", "PRODUCT", "SIGN", "POWER", "EQUAL", "COMMA", "COLON", "TILDE", "DOT")
)
_OPERATOR_TEXTS = frozenset({":=", "+=", "->", "@"})
_WORDS = frozenset({"and", "or", "not", "else"})


def separate(tokens: list[Token]) -> list[Token]:
    """Replace newlines by one separator between statements, and drop those that end none."""
    out: list[Token] = []
    stack: list[str] = []
    pending: Token | None = None
    for token in tokens:
        if token.type == NEWLINE:
            inside = bool(stack) and stack[-1] != "LBRACE"
            if pending is None and not inside and (token == ";" or not _continues(out)):
                pending = token
            continue
        if pending is not None:
            if _separates(out, token):
                out.append(Token.new_borrow_pos(SEPARATOR, str(pending), pending))
            pending = None
        if token.type in OPENERS:
            stack.append(token.type)
        elif token.type in CLOSERS and stack:
            stack.pop()
        out.append(token)
    return out


def _separates(before: list[Token], after: Token) -> bool:
    if not before or before[-1].type == "LBRACE":
        return False
    return after.type != "RBRACE" and after != "else"


def _continues(before: list[Token]) -> bool:
    if not before:
        return True
    last = before[-1]
    if last.type == "SIGN" and len(before) > 1 and before[-2] == "sign":
        return False  # `celltype E sign +`
    if last.type == "WORD":
        return last in _WORDS and not (len(before) > 1 and before[-2] == ".")
    return last.type in _OPERATORS or last in _OPERATOR_TEXTS
