"""Which bracket closes which, and where a forgotten one most likely belonged.

The parser sees balanced brackets only: what is missing is put back here and reported once, at
the opening bracket, instead of through the nonsense that would follow from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from lark import Token

from netdsl.diagnostics import Diagnostic, Label, Span
from netdsl.syntax.lexer import NEWLINE

MAX_DEPTH = 60
OPENERS = {"LPAR": "RPAR", "LSQB": "RSQB", "LBRACE": "RBRACE"}
CLOSERS = {close: open_ for open_, close in OPENERS.items()}
_TEXT = {"RPAR": ")", "RSQB": "]", "RBRACE": "}"}
_TOP_LEVEL = frozenset(
    """edition import function control neuron synapse population celltype projection rule modulator
    optimiser initialiser table data task pairs memory readout metric loss record protocol claim
    ensemble use array""".split()  # noqa: SIM905 (a list of words reads best as words)
)


@dataclass(slots=True)
class Balanced:
    """Tokens whose brackets match, and what had to be mended for that."""

    tokens: list[Token]
    diagnostics: list[Diagnostic] = field(default_factory=list)


def balance(tokens: list[Token], source: str) -> Balanced:
    """Insert missing closing brackets, drop stray ones, report both."""
    balancer = _Balancer(tokens, source)
    if not balancer.run(by_layout=False):
        balancer = _Balancer(tokens, source)
        balancer.run(by_layout=True)
    return Balanced(balancer.result(), balancer.diagnostics)


class _Balancer:
    """One walk over the tokens with a stack of open brackets.

    The first walk matches brackets by kind. If a brace stays open at the end, or a declaration at
    the margin stands inside a block, a second walk also looks at the layout: such a declaration,
    or a `}` standing under the line that opened an outer block, shows which block was meant to
    end before it.
    """

    def __init__(self, tokens: list[Token], source: str) -> None:
        self.tokens = tokens
        self.source = source
        self.stack: list[int] = []  # indices of open brackets
        self.diagnostics: list[Diagnostic] = []
        self.dropped: set[int] = set()
        self.inserted: dict[int, list[Token]] = {}  # before which index

    def run(self, by_layout: bool) -> bool:
        """Walk; False when the layout has to be consulted (and `by_layout` was not asked for)."""
        for index, token in enumerate(self.tokens):
            if self.starts_line(index):
                if by_layout:
                    self.use_layout(index)
                elif self.declares(index) and self.inside_block():
                    return False
            if token.type in OPENERS:
                self.stack.append(index)
                if len(self.stack) == MAX_DEPTH:
                    self.report("E0010", f"brackets are nested {MAX_DEPTH} deep here", token)
                    return True  # nothing of such a text is read
            elif token.type in CLOSERS:
                self.close(index)
        braces_left = any(self.tokens[i].type == "LBRACE" for i in self.stack)
        if braces_left and not by_layout:
            return False
        for opener in reversed(self.stack):
            self.missing(opener, len(self.tokens))
        return True

    def close(self, index: int) -> None:
        wanted = CLOSERS[self.tokens[index].type]
        depth = len(self.stack) - 1
        while depth >= 0 and self.tokens[self.stack[depth]].type != wanted:
            if self.tokens[self.stack[depth]].type == "LBRACE":
                depth = -1  # a parenthesis never closes across a block
                break
            depth -= 1
        if depth < 0:
            self.dropped.add(index)
            token = self.tokens[index]
            self.report("E0003", f"this `{token}` closes nothing", token)
            return
        for opener in reversed(self.stack[depth + 1 :]):
            self.missing(opener, index)
        del self.stack[depth:]

    def missing(self, opener: int, before: int) -> None:
        """Report an opening bracket and close it: a brace at `before`, others at the line's end."""
        token = self.tokens[opener]
        close = OPENERS[token.type]
        at = before
        if token.type != "LBRACE":
            at = self.end_of_line(opener, before)
        place = self.tokens[at - 1]
        self.inserted.setdefault(at, []).append(_virtual(close, place))
        labels: tuple[Label, ...] = ()
        near = token.type == "LBRACE" or at == before
        if before < len(self.tokens) and near:
            labels = (Label(span_of(self.tokens[before], self.source), "expected before this"),)
        message = f"this `{token}` is never closed"
        fix = f"add `{_TEXT[close]}`"
        span = span_of(token, self.source)
        self.diagnostics.append(Diagnostic("E0002", message, span, labels, fix))

    def end_of_line(self, opener: int, before: int) -> int:
        for index in range(opener + 1, before):
            if self.tokens[index].type in (NEWLINE, "LBRACE"):
                return index
        return before

    def use_layout(self, index: int) -> None:
        token = self.tokens[index]
        if token.type == "RBRACE":
            levels = [i for i, at in enumerate(self.stack) if self.indent(at) == token.column]
            keep = levels[-1] + 1 if levels else len(self.stack)
        elif self.declares(index):
            keep = self.conditions()
        else:
            return
        for opener in reversed(self.stack[keep:]):
            self.missing(opener, index)
        del self.stack[keep:]

    def declares(self, index: int) -> bool:
        """Whether a declaration begins at the margin here."""
        token = self.tokens[index]
        follower = self.tokens[index + 1] if index + 1 < len(self.tokens) else ""
        return token.column == 1 and token in _TOP_LEVEL and follower != "state"

    def conditions(self) -> int:
        """How many of the open brackets, from the outermost, are blocks of a top-level `when`."""
        count = 0
        while count < len(self.stack) and self.first_word(self.stack[count]) in ("when", "}"):
            count += 1
        return count

    def inside_block(self) -> bool:
        inner = self.stack[self.conditions() :]
        return any(self.tokens[i].type == "LBRACE" for i in inner)

    def starts_line(self, index: int) -> bool:
        return index == 0 or self.tokens[index - 1].line != self.tokens[index].line

    def line_start(self, index: int) -> Token:
        line = self.tokens[index].line
        while index > 0 and self.tokens[index - 1].line == line:
            index -= 1
        return self.tokens[index]

    def indent(self, index: int) -> int:
        return self.line_start(index).column or 1

    def first_word(self, index: int) -> str:
        return str(self.line_start(index))

    def report(self, code: str, message: str, token: Token) -> None:
        self.diagnostics.append(Diagnostic(code, message, span_of(token, self.source)))

    def result(self) -> list[Token]:
        out: list[Token] = []
        for index, token in enumerate(self.tokens):
            out.extend(self.inserted.get(index, ()))
            if self.inserted.get(index) and token.type == "WORD":
                out.append(_virtual(NEWLINE, token))
            if index not in self.dropped:
                out.append(token)
        out.extend(self.inserted.get(len(self.tokens), ()))
        return out


def span_of(token: Token, source: str) -> Span:
    """Where a token stands."""
    line, column = token.line or 1, token.column or 1
    return Span(source, line, column, token.end_line or line, token.end_column or column)


def _virtual(kind: str, place: Token) -> Token:
    """A token that no text contains, at the end of another one."""
    text = _TEXT.get(kind, "\n")
    at, line, column = place.end_pos, place.end_line, place.end_column
    return Token(kind, text, at, line, column, line, column, at)
