"""Driving the LALR machine token by token, with recovery at statement boundaries."""

from __future__ import annotations

from typing import Any

from lark import Lark, Token, Tree
from lark.exceptions import UnexpectedToken

from netdsl.diagnostics import Diagnostic
from netdsl.syntax import lexer
from netdsl.syntax.layout import SEPARATOR

_NAME_ENDINGS = frozenset({"=", ":=", "~", "."})
_MAX_ERRORS = 30


class Driver:
    """Feeds tokens to the parser; an unreadable statement becomes an `ERROR` token."""

    def __init__(
        self, grammar: Lark, tokens: list[Token], text: str, source: str, mute: set[int]
    ) -> None:
        self.grammar = grammar
        self.machine: Any = grammar.parse_interactive("")
        self.tokens = tokens
        self.text = text
        self.source = source
        self.mute = mute  # lines where an earlier stage has reported
        self.diagnostics: list[Diagnostic] = []
        self.unbraced: list[tuple[int, int]] = []  # lines from and to the ends of such blocks
        self.statement_start = 0
        self.stack: list[int] = []  # states before the token at hand

    def run(self) -> Tree[Any] | None:
        """The tree of everything readable."""
        index, failed = 0, -1
        while index < len(self.tokens):
            token = self._resolve(index)
            if self._at_statement():
                self.statement_start = index
            self.stack = self.machine.parser_state.state_stack[:]
            try:
                self.machine.feed_token(token)
                index += 1
            except UnexpectedToken:
                if self._ends_with_block(index):
                    self.machine.feed_token(Token.new_borrow_pos(SEPARATOR, "", token))
                    continue
                after = self._recover(self._report(index, token))
                stuck = after == index == failed  # twice at one place: it fits nowhere
                failed, index = index, after + stuck
                if len(self.diagnostics) >= _MAX_ERRORS:
                    return None
        return self._finish()

    def _ends_with_block(self, index: int) -> bool:
        """A closing brace ends its statement: `each batch … { … } evaluate …` on one line."""
        before = self.tokens[index - 1] if index else None
        closed = before is not None and before.type == "RBRACE"
        return closed and SEPARATOR in self.machine.accepts()

    def _finish(self) -> Tree[Any] | None:
        last = self.tokens[-1] if self.tokens else Token("$END", "", 0, 1, 1, 1, 1, 0)
        for _ in range(2):
            self.stack = self.machine.parser_state.state_stack[:]
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
        while (depth < 0 or not self._at_statement()) and len(state.state_stack) > 1:
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

    def _report(self, index: int, token: Token) -> int:
        """Report what stands at `index`; the index from which the rest of its line is skipped."""
        from netdsl.syntax.reports import Mistake

        mistake = Mistake(self, index, token)
        if (token.line or 0) not in self.mute:
            self.mute.add(token.line or 0)
            self.diagnostics.append(mistake.diagnostic())
        end = mistake.block_end()
        if end is None:
            return index
        after = [token.line or 0 for token in self.tokens[end : end + 3]]
        self.unbraced.append((self.tokens[end - 1].line or 0, max(after, default=len(self.text))))
        return end
