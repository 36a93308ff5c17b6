"""A mistake in the syntax put into words: what stands there, what may stand there, the way out.

Loaded when there is something to report.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from lark import Token

from netdsl.diagnostics import Diagnostic, Label, Span, did_you_mean
from netdsl.syntax import lexer
from netdsl.syntax.brackets import span_of
from netdsl.syntax.expected import END, expected
from netdsl.syntax.habits import Habit, find_habit, unit_for
from netdsl.syntax.layout import SEPARATOR

if TYPE_CHECKING:
    from netdsl.syntax.recovery import Driver

_LAST = ("an operator", "the end of the line", END)  # what nearly always fits is named last
_NO_NUMBER = re.compile(r"_|[eEjJ]\Z|[xXoObB][0-9a-fA-F]")  # 10_000, 1e, 2j, 0x10
_MOST = 5  # alternatives; longer lists help nobody
_LONGEST = 36  # characters of a statement that are quoted


class Mistake:
    """A token that the parser has no room for, with what surrounds it."""

    def __init__(self, driver: Driver, index: int, token: Token) -> None:
        self.expected = expected(driver.grammar)
        self.stack = driver.stack
        self.accepts = self.expected.accepts(self.stack)
        self.tokens = driver.tokens
        self.source = driver.source
        self.lines = driver.text.split("\n")
        self.index = index
        self.token = token
        self.start = min(driver.statement_start, len(driver.tokens) - 1)
        before = self._before()
        closes = token.type == "RBRACE" and before is not None and before.type != SEPARATOR
        self.incomplete = token.type == SEPARATOR or (
            closes and before is not None and (before.end_line or 0) < (token.line or 0)
        )

    # ------------------------------------------------------------ findings

    def diagnostic(self) -> Diagnostic:
        """The one finding for this mistake."""
        return (
            self._block() or self._habit() or self._unit() or self._misspelt() or self._unexpected()
        )

    def _habit(self) -> Diagnostic | None:
        keywords = self._statement_keywords()
        found = find_habit(self._line(), self._column(), self.tokens[self.start], keywords)
        return None if found is None else self._from(found)

    def _from(self, habit: Habit) -> Diagnostic:
        line = self.token.line or 1
        span = Span(self.source, line, habit.start + 1, line, habit.end + 1)
        return Diagnostic(habit.code, habit.message, span, (), habit.help)

    def _block(self) -> Diagnostic | None:
        """A body that follows a colon, or is only indented."""
        body = self._needs_body()
        indented = self.block_end() is not None
        if self.token.type == "COLON" and (body or (indented and self._ends_line())):
            message = "a block does not begin with `:`, it stands in braces"
        elif self.token.type == SEPARATOR and body and indented:
            message = "a block is not marked by indentation, it stands in braces"
        else:
            return None
        first = (self.tokens[self.start].column or 1) - 1
        head = self._line()[first : self._column()].rstrip()
        return Diagnostic("E0016", message, self._span(), (), f"write `{head} {{ … }}`")

    def _unit(self) -> Diagnostic | None:
        """A word right after a number that is no unit."""
        before = self._before()
        if before is None or before.type != "NUMBER" or self._word() is None:
            return None
        word = str(self.token)
        unit = None if self._needs_body() and len(word) == 1 else unit_for(word)
        if unit is not None:
            message, help = f"`{word}` is not a unit", f"write `{before} {unit}`"
            return Diagnostic("E0020", message, self._span(), (), help)
        if before.end_column == self.token.column and _NO_NUMBER.match(word):
            message, help = f"`{before}{word}` is not a number", "numbers are decimal, as `1e-3`"
            return Diagnostic("E0001", message, self._span(), (), help)
        if self._needs_body():
            return None
        if "PRODUCT" in self.accepts and did_you_mean(word, self._words(self.accepts)) is None:
            message = f"there is no operator between `{before}` and `{word}`"
            help = f"multiplication is written `{before} * {word}`; `{word}` is not a unit"
            return Diagnostic("E0001", message, self._span(), (), help)
        return None

    def _misspelt(self) -> Diagnostic | None:
        """The statement's first word was taken for a name, or is no keyword of this place."""
        word = self.tokens[self.start]
        if self.index - self.start > 1 or word.type != lexer.WORD or word in lexer.RESERVED:
            return None
        keywords = self._statement_keywords()
        if word in keywords or not keywords:
            return None
        if self.index > self.start and self.token.type == "LPAR":
            return None
        what = "a declaration" if "neuron" in keywords else "a statement here"
        message = f"`{word}` does not begin {what}"
        help = did_you_mean(str(word), keywords)
        if "split" in keywords and help is None:
            help = f"a setting is written `{word} = …`"
        if self.tokens[min(self.start + 1, len(self.tokens) - 1)] == "=":
            help = f"declare it: `param {word} = …`, or `let {word} = …` for an expression"
            if "phase" in keywords:
                help = f"a global state is changed with `{word} := …`"
        return Diagnostic("E0004", message, span_of(word, self.source), (), help)

    def _unexpected(self) -> Diagnostic:
        labels: tuple[Label, ...] = ()
        start = self.tokens[self.start]
        if start.line != self.token.line and self.index > self.start:
            labels = (Label(span_of(start, self.source), "in the statement that begins here"),)
        return Diagnostic("E0001", self._message(), self._span(), labels, self._advice())

    def _message(self) -> str:
        if self.token.type == "$END":
            what = "the file ends too early"
        elif self.incomplete:
            what = "this statement is not complete"
        else:
            what = f"`{self.token}` cannot stand here"
        choices = self._choices()
        if not choices:
            return what
        listed = choices[0] if len(choices) == 1 else ", ".join(choices[:-1]) + " or " + choices[-1]
        after = self._quoted()
        if after is None:
            return f"{what}, where {listed} is expected"
        return f"{what}: after `{after}` comes {listed}"

    def _choices(self) -> list[str]:
        """What may come next in words."""
        found = self.expected.after(self.stack)
        if "the end of the line" in found:
            found = [text for text in found if text not in ("`}`", END)]
        if any(text.startswith("`,` and") for text in found):
            found = [text for text in found if text != "`,`"]
        found.sort(key=lambda text: _LAST.index(text) if text in _LAST else -1)
        return found[:_MOST]

    def _advice(self) -> str | None:
        token, before = self.token, self._before()
        if token in lexer.RESERVED and "NAME" in self.accepts:
            return f"`{token}` is a word of the language and cannot be a name"
        protocol = "phase" in self._statement_keywords()
        if token.type == "EQUAL" and protocol and "`:= value`" in self._choices():
            return f"write `clamp {self._quoted()} = …`, or `:=` for a global state"
        if token.type == "EQUAL" and "COMPARE" in self.accepts:
            return "equality is `==`; a state is changed with `:=`"
        if token in ("at", "every") and self.tokens[self.start] == "learn":
            return "the rule says when it runs: plain statements at each step, or `at update { … }`"
        if token.type == "COMPARE" and before is not None and "PRODUCT" in self.accepts:
            return "comparisons do not chain: write `a < b and b < c`"
        if self._word() is not None:
            near = did_you_mean(str(token), self._words(self.accepts))
            if near is not None:
                return near
        if any(text in _LAST[1:] for text in self.expected.after(self.stack)):
            return None
        if self.index == self.start or self.expected.in_expression(self.stack[-1]):
            return None
        example = self.expected.example(self.stack)
        return None if example is None else f"for example `{example}`"

    # ------------------------------------------------------------ blocks without braces

    def block_end(self) -> int | None:
        """The index where lines that are indented under this statement end; None without such."""
        start_column = self.tokens[self.start].column or 0
        first = self._last() + 1
        if first > len(self.tokens) or self.tokens[first - 1].type not in (SEPARATOR, "COLON"):
            return None
        if any(token.type == "LBRACE" for token in self.tokens[self.start : first]):
            return None
        index, depth = first, 0
        while index < len(self.tokens):
            token = self.tokens[index]
            if token.type != SEPARATOR and depth == 0 and (token.column or 0) <= start_column:
                break
            depth += (token.type == "LBRACE") - (token.type == "RBRACE")
            if depth < 0:
                break
            index += 1
        inside = [token for token in self.tokens[first:index] if token.type != SEPARATOR]
        if not inside or inside[0].line == self.tokens[first - 1].line:
            return None
        return index - 1 if self.tokens[index - 1].type == SEPARATOR else index

    def _needs_body(self) -> bool:
        """Whether a block in braces may follow here."""
        return any(text.endswith("in `{ }`") for text in self.expected.after(self.stack))

    def _ends_line(self) -> bool:
        return self._last() == self.index

    def _last(self) -> int:
        """The index of the last token on the line of the mistake."""
        last = self.index
        if self.token.type == SEPARATOR:
            return last
        while last + 1 < len(self.tokens) and (
            self.tokens[last + 1].line == self.token.line
            and self.tokens[last + 1].type != SEPARATOR
        ):
            last += 1
        return last

    # ------------------------------------------------------------ surroundings

    def _before(self) -> Token | None:
        return self.tokens[self.index - 1] if self.index > 0 else None

    def _word(self) -> Token | None:
        here = self.tokens[self.index] if self.index < len(self.tokens) else None
        return here if here is not None and here.type == lexer.WORD else None

    def _line(self) -> str:
        number = (self.token.line or 1) - 1
        return self.lines[number] if number < len(self.lines) else ""

    def _column(self) -> int:
        return (self.token.column or 1) - 1

    def _span(self) -> Span:
        if self.token.type != "$END" and not self.incomplete:
            return span_of(self.token, self.source)
        last = self.token if self.token.type == "$END" else self._before() or self.token
        line, column = last.end_line or 1, last.end_column or 1
        return Span(self.source, line, column, line, column + 1)

    def _quoted(self) -> str | None:
        """What comes before in the statement, when that is short, else the word before."""
        start, before = self.tokens[self.start], self._before()
        if before is None or self.index <= self.start or before.type == SEPARATOR:
            return None
        if start.line == before.end_line:
            first, last = (start.column or 1) - 1, (before.end_column or 1) - 1
            text = self.lines[(start.line or 1) - 1][first:last]
            if len(text) <= _LONGEST and not any(sign in text for sign in "([{}"):
                return text
        return str(before)

    def _statement_keywords(self) -> list[str]:
        """The words that may begin a statement of the innermost block."""
        states = self.expected.table.states
        inner = (state for state in reversed(self.stack) if "ERROR" in states[state])
        return self._words(states[next(inner)])

    def _words(self, accepted: Any) -> list[str]:
        table = lexer.terminals().keywords
        return [word for word, kinds in table.items() if any(k in accepted for k in kinds)]
