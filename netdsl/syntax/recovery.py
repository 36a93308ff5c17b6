"""Driving the LALR machine token by token, with recovery at statement boundaries."""

from __future__ import annotations

from typing import Any

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedToken

from netdsl.diagnostics import Diagnostic, Label, did_you_mean
from netdsl.syntax import lexer
from netdsl.syntax.brackets import span_of
from netdsl.syntax.layout import SEPARATOR

_NAME_ENDINGS = frozenset({"=", ":=", "~", "."})
_MAX_ERRORS = 30
_KINDS = {
    "NAME": "a name",
    "NUMBER": "a number",
    "STRING": "a text in quotes",
    "UNIT": "a unit",
    "SIGN": "`+` or `-`",
    SEPARATOR: "the end of the line",
    "$END": "the end of the file",
}


class Driver:
    """Feeds tokens to the parser; an unreadable statement becomes an `ERROR` token."""

    def __init__(self, grammar: Lark, tokens: list[Token], source: str, mute: set[int]) -> None:
        self.machine: Any = grammar.parse_interactive("")
        self.tokens = tokens
        self.source = source
        self.mute = mute  # lines where an earlier stage has reported
        self.diagnostics: list[Diagnostic] = []
        self.statement_start = 0

    def run(self) -> Tree[Any] | None:
        """The tree of everything readable."""
        index = 0
        while index < len(self.tokens):
            token = self._resolve(index)
            if self._at_statement():
                self.statement_start = index
            try:
                self.machine.feed_token(token)
                index += 1
            except UnexpectedToken:
                if self._ends_with_block(index):
                    self.machine.feed_token(Token.new_borrow_pos(SEPARATOR, "", token))
                    continue
                self._report(index, token)
                index = self._recover(index)
                if len(self.diagnostics) >= _MAX_ERRORS:
                    return None
        return self._finish()

    def _ends_with_block(self, index: int) -> bool:
        """A closing brace ends its statement: `each batch … { … } evaluate …` on one line."""
        before = self.tokens[index - 1] if index else None
        closed = before is not None and before.type == "RBRACE"
        return closed and SEPARATOR in self._accepted()

    def _finish(self) -> Tree[Any] | None:
        last = self.tokens[-1] if self.tokens else Token("$END", "", 0, 1, 1, 1, 1, 0)
        for _ in range(2):
            try:
                tree = self.machine.feed_eof(last)
                return tree if isinstance(tree, Tree) else None
            except UnexpectedToken:
                self._report(len(self.tokens), Token.new_borrow_pos("$END", "", last))
                self._recover(len(self.tokens))
        return None

    # ------------------------------------------------------------ roles of words

    def _resolve(self, index: int) -> Token:
        """Give a word the role that the parser has room for."""
        token = self.tokens[index]
        accepted = self._accepted()
        if token.type == "UNIT":
            if "UNIT" in accepted or not token.isidentifier():
                return token
        elif token.type != lexer.WORD:
            return token
        choices = [kind for kind in lexer.roles(str(token)) if kind in accepted]
        if len(choices) > 1 and self._at_statement() and self._followed_as_name(index):
            choices.reverse()  # a name comes last
        kind = choices[0] if choices else lexer.roles(str(token))[-1]
        return Token.new_borrow_pos(kind, str(token), token)

    def _followed_as_name(self, index: int) -> bool:
        index += 1
        if index < len(self.tokens) and self.tokens[index].type == "LSQB":
            index = self._after_bracket(index)
            return index < len(self.tokens) and self.tokens[index] == ":="  # `input[k] := …`
        if index >= len(self.tokens):
            return False
        follower = self.tokens[index]
        return follower in _NAME_ENDINGS and follower.type != "STRING"

    def _after_bracket(self, index: int) -> int:
        """The index after the bracket that closes the one at `index`."""
        depth = 0
        while index < len(self.tokens):
            depth += (self.tokens[index].type == "LSQB") - (self.tokens[index].type == "RSQB")
            index += 1
            if depth == 0:
                break
        return index

    def _accepted(self) -> dict[str, Any]:
        state = self.machine.parser_state
        table: dict[str, Any] = state.parse_conf.parse_table.states[state.position]
        return table

    def _at_statement(self) -> bool:
        return "ERROR" in self._accepted()

    # ------------------------------------------------------------ errors

    def _recover(self, index: int) -> int:
        """Put `ERROR` for the statement at hand; the index where reading goes on."""
        state = self.machine.parser_state
        depth = 0
        while not self._at_statement() and len(state.state_stack) > 1:
            state.state_stack.pop()
            dropped = state.value_stack.pop()
            if isinstance(dropped, Token):
                depth += (dropped.type == "LBRACE") - (dropped.type == "RBRACE")
        place = self.tokens[min(index, len(self.tokens) - 1)]
        self.machine.feed_token(Token.new_borrow_pos("ERROR", "", place))
        while index < len(self.tokens):
            kind = self.tokens[index].type
            if depth == 0 and kind in (SEPARATOR, "RBRACE"):
                if kind == SEPARATOR or "RBRACE" in self._accepted():
                    break
                index += 1  # a stray brace at the top level
                continue
            depth += (kind == "LBRACE") - (kind == "RBRACE")
            index += 1
        return index

    def _report(self, index: int, token: Token) -> None:
        if (token.line or 0) in self.mute:
            return
        self.mute.add(token.line or 0)
        self.diagnostics.append(self._misspelt(index) or self._unexpected(index, token))

    def _misspelt(self, index: int) -> Diagnostic | None:
        """The statement's first word was taken for a name, or is no keyword of this place."""
        start = self.statement_start
        if index - start > 1 or start >= len(self.tokens):
            return None
        word = self.tokens[start]
        if word.type != lexer.WORD or word in lexer.RESERVED:
            return None
        keywords = self._statement_keywords(index)
        if word in keywords:
            return None
        if index < len(self.tokens) and index > start and self.tokens[index].type == "LPAR":
            return None
        place = "a statement here" if "integrate" in keywords or "phase" in keywords else None
        what = place or "a declaration"
        message = f"`{word}` does not begin {what}"
        span = span_of(word, self.source)
        help_text = did_you_mean(str(word), keywords)
        if index < len(self.tokens) and self.tokens[min(start + 1, len(self.tokens) - 1)] == "=":
            help_text = f"declare it: `param {word} = …`, or `let {word} = …` for an expression"
        return Diagnostic("E0004", message, span, (), help_text)

    def _statement_keywords(self, index: int) -> list[str]:
        """The words that may begin a statement of the innermost block."""
        state = self.machine.parser_state
        states = state.parse_conf.parse_table.states
        for position in reversed(state.state_stack):
            if "ERROR" in states[position]:
                return self._words(states[position])
        return []

    def _words(self, accepted: dict[str, Any]) -> list[str]:
        table = lexer.terminals().keywords
        return [word for word, kinds in table.items() if any(k in accepted for k in kinds)]

    def _unexpected(self, index: int, token: Token) -> Diagnostic:
        accepted = self.machine.accepts()
        shown = "end of the file" if token.type == "$END" else f"`{token}`"
        if token.type == SEPARATOR:
            shown = "end of the statement"
        message = f"unexpected {shown}"
        expected = self._expected(accepted)
        if expected:
            message += f"; expected {expected}"
        help_text = self._advice(index, token, accepted)
        span = span_of(token, self.source)
        labels: tuple[Label, ...] = ()
        start = self.tokens[min(self.statement_start, len(self.tokens) - 1)]
        if start.line != token.line:
            labels = (Label(span_of(start, self.source), "in the statement that begins here"),)
        return Diagnostic("E0001", message, span, labels, help_text)

    def _expected(self, accepted: set[str]) -> str:
        """At most five alternatives in words; longer lists help nobody."""
        if "LPAR" in accepted and "NUMBER" in accepted:
            return "an expression"
        closing = accepted & {"RPAR", "RSQB", "LBRACE", "EQUAL", "COLON"}
        names = closing if closing and len(accepted) > 5 else accepted
        spelling = lexer.terminals().spelling
        shown = sorted({_KINDS.get(k) or spelling.get(k, "") for k in names if k != "ERROR"} - {""})
        if not shown or len(shown) > 5:
            return ""
        return shown[0] if len(shown) == 1 else ", ".join(shown[:-1]) + " or " + shown[-1]

    def _advice(self, index: int, token: Token, accepted: set[str]) -> str | None:
        if token in lexer.RESERVED and "NAME" in accepted:
            return f"`{token}` is a word of the language and cannot be a name"
        if token.type == "EQUAL" and "COMPARE" in accepted:
            return "equality is `==`; a state is changed with `:=`"
        if token in ("at", "every") and self.tokens[self.statement_start] == "learn":
            return "the rule says when it runs: plain statements at each step, or `at update { … }`"
        if token.type == "COMPARE" and index > 0:
            return "comparisons do not chain: write `a < b and b < c`"
        if token.type == "PRODUCT" and str(self.tokens[index - 1]) == "*":
            return "powers are spelled `x^2`"
        if self.tokens and index < len(self.tokens) and self.tokens[index].type == lexer.WORD:
            return did_you_mean(str(token), self._words(dict.fromkeys(accepted)))
        return None
