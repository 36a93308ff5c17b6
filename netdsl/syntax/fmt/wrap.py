"""Breaking a line that is too long where the language lets a statement go on."""

from __future__ import annotations

from lark import Token

from netdsl.syntax.brackets import CLOSERS, OPENERS
from netdsl.syntax.lexer import lex

WIDTH = 100
_HANGING = "    "
_OPERATORS = frozenset(("COMPARE", "PRODUCT", "SIGN", "EQUAL", "TILDE"))
_OPERATOR_TEXTS = frozenset((":=", "+=", "and", "or"))


def wrap(text: str, pad: str) -> list[str]:
    """The lines of `text`, each indented by `pad`, the continuation by four more."""
    if len(pad) + len(text) <= WIDTH:
        return [pad + text]
    breaks = _breaks(text)
    lines: list[str] = []
    start, lead = 0, pad
    while len(lead) + len(text) - start > WIDTH:
        at = _choose(breaks, start, start + WIDTH - len(lead))
        if at is None:
            break
        lines.append(lead + text[start:at])
        start, lead = at + 1, pad + _HANGING
    return [*lines, lead + text[start:]]


def _choose(breaks: list[tuple[int, int]], start: int, room: int) -> int | None:
    """The outermost break in the second half of the line, else the last one, else any later."""
    fitting = [b for b in breaks if start < b[0] <= room]
    if fitting:
        late = [b for b in fitting if b[0] - start > (room - start) // 2] or fitting
        return min(late, key=lambda b: (b[1], -b[0]))[0]
    later = [b[0] for b in breaks if b[0] > room]
    return later[0] if later else None


def _breaks(text: str) -> list[tuple[int, int]]:
    """The spaces at which the line may be broken, with the depth of brackets around them."""
    out: list[tuple[int, int]] = []
    depth, previous = 0, ""
    for token in lex(text, "").tokens:
        start, end = token.start_pos or 0, token.end_pos or 0
        depth += (token.type in OPENERS) - (token.type in CLOSERS)
        spaced = text[end : end + 1] == " "
        if token == "else" and not text[:start].endswith("} "):
            out.append((start - 1, depth))
        elif spaced and (token.type == "COMMA" or _operates(token, text, previous)):
            out.append((end, depth))
        previous = str(token)
    return out


def _operates(token: Token, text: str, previous: str) -> bool:
    """Whether a token stands between two operands (a sign may also belong to one, or to `sign`)."""
    start = token.start_pos or 0
    operator = token.type in _OPERATORS or token in _OPERATOR_TEXTS
    return operator and text[start - 1 : start] == " " and previous != "sign"
