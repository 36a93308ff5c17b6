"""Text to tokens, by the terminals of the grammar.

One pass over the text with one regular expression. Which of its roles a word plays (keyword or
name) depends on the parser's state, so words leave here undecided; see `roles`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache

from lark import Lark, Token

from netdsl.diagnostics import Diagnostic, Span
from netdsl.syntax.grammar import load_grammar

RESERVED = frozenset({"and", "or", "not", "if", "else", "true", "false", "over"})
WORD = "WORD"
NEWLINE = "NEWLINE"
LONGEST_NAME = 200
_WORD_RE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")


@dataclass(frozen=True, slots=True)
class Comment:
    """A comment with its `#`; `own_line` is False after other text of the line."""

    span: Span
    text: str
    own_line: bool


@dataclass(slots=True)
class Lexed:
    """The result: tokens (newlines included), comments, and what could not be read."""

    tokens: list[Token] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Terminals:
    """What the lexer takes from the grammar."""

    scanner: re.Pattern[str]
    unit: re.Pattern[str]
    keywords: dict[str, tuple[str, ...]]  # word -> terminals it may stand for
    spelling: dict[str, str]  # terminal -> how messages show it


@lru_cache(maxsize=1)
def terminals() -> Terminals:
    """The scanner and the keyword table of the grammar."""
    return _read_terminals(load_grammar())


def _read_terminals(grammar: Lark) -> Terminals:
    patterns, symbols = {}, {}
    keywords: dict[str, tuple[str, ...]] = {}
    spelling: dict[str, str] = {}
    for terminal in grammar.terminals:
        text = terminal.pattern.value
        if terminal.pattern.type == "str":
            spelling[terminal.name] = f"`{text}`"
            if _WORD_RE.match(text):
                keywords[text] = (*keywords.get(text, ()), terminal.name)
            else:
                symbols[terminal.name] = text
        else:
            patterns[terminal.name] = terminal.pattern.to_regexp()
    for word in ("population", "projection"):
        keywords[word] = (*keywords[word], "LEVEL")
    order = sorted(symbols, key=lambda name: -len(symbols[name]))
    parts = [
        r"(?P<SPACE>[ \t\f\v]+)",
        r"(?P<COMMENT>\#[^\n]*)",
        r"(?P<JOIN>\\[ \t]*(?:\#[^\n]*)?\r?\n)",
        r"(?P<NEWLINE>\r?\n|;)",
        *(f"(?P<{name}>{patterns[name]})" for name in ("STRING", "D_DT", "NUMBER")),
        rf"(?P<WORD>{patterns['NAME']})",
        *(f"(?P<{name}>{re.escape(symbols[name])})" for name in order if len(symbols[name]) > 1),
        *(f"(?P<{name}>{patterns[name]})" for name in ("COMPARE", "PRODUCT", "SIGN")),
        *(f"(?P<{name}>{re.escape(symbols[name])})" for name in order if len(symbols[name]) == 1),
        r"(?P<BAD>&&|\|\||'[^'\n]*'|‘[^’\n]*’|“[^”\n]*”|.)",  # what is one mistake is one error
    ]
    return Terminals(re.compile("|".join(parts)), re.compile(patterns["UNIT"]), keywords, spelling)


_COUNTED = re.compile(r"(step|batch|sample|epoch|update|trial|iteration)(s|es)?\Z")


def roles(word: str) -> tuple[str, ...]:
    """The terminals a word may stand for, likeliest first."""
    found = terminals().keywords.get(word, ())
    if _COUNTED.match(word):
        found = ("COUNTED", *found)
    return found if word in RESERVED else (*found, "NAME")


def lex(text: str, source: str) -> Lexed:
    """Split a text into tokens; never fails, unreadable characters become diagnostics."""
    result = Lexed()
    table = terminals()
    position, line, line_start = 0, 1, 0
    after_unit_place = False
    while position < len(text):
        match = table.scanner.match(text, position)
        if after_unit_place and (unit := table.unit.match(text, position)):
            match, kind = unit, "UNIT"
        else:
            assert match is not None and match.lastgroup is not None  # BAD takes any character
            kind = match.lastgroup
        value, end = match.group(), match.end()
        column = position - line_start + 1
        span = Span(source, line, column, line, column + len(value))
        if kind == "COMMENT":
            own_line = not text[line_start:position].strip()
            result.comments.append(Comment(span, value.rstrip(), own_line))
        elif kind == "BAD":
            result.diagnostics.append(_bad_character(text, position, span))
            if value == '"':
                end = _line_end(text, position)
        elif kind == "WORD" and len(value) > LONGEST_NAME:
            message = f"a name has at most {LONGEST_NAME} characters, this one {len(value)}"
            result.diagnostics.append(Diagnostic("E0015", message, span))
            result.tokens.append(
                Token(
                    kind, value[:LONGEST_NAME], position, line, column, line, span.end_column, end
                )
            )
        elif kind not in ("SPACE", "JOIN"):
            result.tokens.append(
                Token(kind, value, position, line, column, line, span.end_column, end)
            )
        if kind not in ("SPACE", "JOIN", "COMMENT"):
            after_unit_place = kind in ("NUMBER", "COLON")
        if value.endswith("\n"):
            line, line_start = line + 1, end
        position = end
    return result


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end


def _bad_character(text: str, position: int, span: Span) -> Diagnostic:
    character = text[position]
    if character == '"':
        return Diagnostic("E0005", "this text has no closing quote on its line", span)
    length = span.end_column - span.column
    shown = character if character.isprintable() else f"U+{ord(character):04X}"
    if length > 1:
        shown = text[position : position + length]
    derived = character == "'" and re.match(r"'\s*=", text[position:])
    help = _PRIME if derived else next((h for signs, h in _HELP if character in signs), None)
    what = "the character " if length == 1 else ""
    return Diagnostic("E0006", f"{what}`{shown}` means nothing here", span, help=help)


_PRIME = "a derivative is written `d v/dt = …`"
_HELP = (
    ("“”‘’'", 'texts stand between straight double quotes: "…"'),
    ("!&|", "logic is spelled `not`, `and`, `or`, and unequal is `!=`"),
    ("−–—", "the minus sign of the language is the plain hyphen `-`"),
    ("×·⋅∙", "multiplication is written with `*`"),
    ("÷", "division is written with `/`"),
    ("≤≥≠", "comparisons are spelled `<=`, `>=` and `!=`"),
    ("²³", "powers are spelled `x^2`"),
    ("←", "a state is changed with `:=`"),
    ("→", "an arrow is spelled `->`"),
    ("µμ", "micro is spelled `u`, as in `5 us`"),
    ("Ω", "the unit is spelled `Ohm`"),
    ("∑Σ", "a sum is `sum(x over axis)`"),
    ("?", "a value by condition is `a if condition else b`"),
    ("`$", "names stand as they are, without signs"),
    ("αβγδεηθκλρστφω", "names consist of the letters A to Z, digits and `_`: `tau`, `eta`, …"),
)
