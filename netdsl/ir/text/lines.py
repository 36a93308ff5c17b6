"""The tokens of one line of a program's text, and the values and expressions they make up."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from typing import Any, get_args, get_type_hints

from netdsl.ir.expr import Apply, Const, Custom, Expr, Index, Load, Local, Reduce, Ref
from netdsl.ir.network import Draw, Made
from netdsl.ir.program import OPERATIONS, STATEMENTS, Edges
from netdsl.ir.roles import Node, Role, fields, role_of
from netdsl.ir.space import Space, axis_of
from netdsl.ir.text.expressions import BARE, INFIX, NEGATION
from netdsl.ir.text.printing import FIELD
from netdsl.ir.windows import Windows

_TOKEN = re.compile(
    r'\s*(?P<text>"(?:[^"\\]|\\.)*")'
    rf"|\s*(?P<name>{BARE.pattern})"
    r"|\s*(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)"
    r"|\s*(?P<local>%[A-Za-z_](?:[\w.@:#]|\[\d+\])*)"
    r"|\s*(?P<symbol>:=|\+=|==|!=|<=|>=|//|[-+*/%^<>=~().,\[\]])"
)
_SYMBOLS = {symbol: (name, level) for name, (symbol, level) in INFIX.items()}
_RECORDS = {kind.__name__: kind for kind in (Draw, Edges, Made, Windows)}
_WORDS = {"none": None, "true": True, "false": False, "inf": float("inf"), "nan": float("nan")}


class TextError(ValueError):
    """The text is not a program; `line` says where (1-based)."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(f"line {line}: {message}")
        self.line = line


class Mismatch(Exception):
    """A line is not of the form that was tried."""


_ORDER: tuple[type[Node], ...] = (*STATEMENTS, *OPERATIONS)


def kinds_in(hint: Any) -> tuple[type[Node], ...]:
    """The nodes that a field may hold, as their texts are told apart."""
    if isinstance(hint, type):
        return (hint,) if issubclass(hint, Node) else ()
    found = {kind for part in get_args(hint) for kind in kinds_in(part)}
    return tuple(sorted(found, key=lambda k: _ORDER.index(k) if k in _ORDER else 0))


def head_of(line: Line, kind: type[Node]) -> dict[str, Any]:
    """The fields of a node but those of the lines below it."""
    roles, hints = dict(fields(kind)), get_type_hints(kind)
    values: dict[str, Any] = {}
    end = 0
    for match in FIELD.finditer(kind.form):
        line.expect(*tokens_of(kind.form[end : match.start()]))
        end = match.end()
        name = match[1]
        if match[2] is not None:
            values[name] = line.either(match[2], match[3])
        else:
            values[name] = line.field(roles[name], hints[name])
    line.expect(*tokens_of(kind.form[end:]))
    while not line.ended and line.is_setting(roles):
        name = line.take()
        values[name] = True
        if line.peek() == "=":
            line.take()
            values[name] = line.field(roles[name], hints[name], closed=True)
    line.end()
    return values


def tokens_of(text: str) -> list[str]:
    return [match[match.lastgroup or 0] for match in _TOKEN.finditer(text)]


class Line:
    """The tokens of a line, read from left to right."""

    def __init__(self, text: str, number: int) -> None:
        self.number, self.at = number, 0
        self.tokens: list[tuple[str, str]] = []
        end = 0
        for match in _TOKEN.finditer(text):
            if match.start() != end:
                break
            end = match.end()
            kind = match.lastgroup or ""
            self.tokens.append((kind, match[kind]))
        if text[end:].strip():
            raise TextError(f"this cannot be read: {text[end:]}", number)

    @property
    def ended(self) -> bool:
        return self.at >= len(self.tokens)

    @property
    def kind(self) -> str:
        return "" if self.ended else self.tokens[self.at][0]

    def peek(self, ahead: int = 0) -> str:
        where = self.at + ahead
        return self.tokens[where][1] if where < len(self.tokens) else ""

    def take(self) -> str:
        if self.ended:
            raise Mismatch
        self.at += 1
        return self.tokens[self.at - 1][1]

    def expect(self, *words: str) -> None:
        for word in words:
            if self.take() != word:
                raise Mismatch

    def either(self, yes: str, no: str) -> bool:
        word = self.take()
        if word not in (yes, no):
            raise Mismatch
        return word == yes

    def end(self) -> None:
        if not self.ended:
            raise Mismatch

    def is_setting(self, roles: dict[str, Role]) -> bool:
        return self.kind == "name" and self.peek() in roles

    # -- fields -------------------------------------------------------------------------------

    def field(self, role: Role, hint: Any, *, closed: bool = False) -> Any:
        """What a field holds. `closed`: an expression stands in parentheses."""
        several = "tuple" in str(hint) and role in (Role.EXPRESSION, Role.NESTED)
        if self.peek() == "none" or (self.peek() in _RECORDS and self.peek(1) == "("):
            return self.plain()
        if role is Role.BOUND:
            return self.local()
        if role is Role.NESTED:
            return self._joined(kinds_in(hint)[0])
        if role in (Role.READ, Role.WRITTEN) and self.kind not in ("name", "text"):
            raise Mismatch
        if role is not Role.EXPRESSION:
            return _typed(self.plain(), hint)
        if several:
            return self._listed(self.expression)
        return self._primary() if closed else self.expression()

    def local(self) -> str:
        """The name of a bound value."""
        word = self.take()
        if not word.startswith("%") or word == "%":
            raise Mismatch
        return word[1:]

    def _joined(self, kind: type[Node]) -> tuple[Node, ...]:
        """Nodes within a line, between plus signs; 0 for none."""
        if self.peek() == "0":
            self.take()
            return ()
        found = [self._inner(kind)]
        while self.peek() == "+":
            self.take()
            found.append(self._inner(kind))
        return tuple(found)

    def _inner(self, kind: type[Node]) -> Node:
        rest, self.tokens = self.tokens, self._until_plus()
        try:
            values = head_of(self, kind)
        finally:
            self.tokens = rest
        return kind(**values)

    def _until_plus(self) -> list[tuple[str, str]]:
        depth = 0
        for where in range(self.at, len(self.tokens)):
            word = self.tokens[where][1]
            depth += (word == "(") - (word == ")")
            if word == "+" and depth == 0:
                return self.tokens[:where]
        return self.tokens

    def _listed(self, part: Callable[[], Any]) -> tuple[Any, ...]:
        self.expect("(")
        found = []
        while self.peek() != ")":
            found.append(part())
            if self.peek() == ",":
                self.take()
        self.take()
        return tuple(found)

    def plain(self) -> Any:
        """A name, a number, a tuple or a record."""
        if self.ended:
            raise Mismatch
        kind, word = self.tokens[self.at]
        if word == "(":
            return self._listed(self.plain)
        self.at += 1
        if word == "-":
            value = self.plain()
            if not isinstance(value, int | float):
                raise Mismatch
            return -value
        if kind == "text":
            return json.loads(word)
        if kind == "number":
            return _number(word)
        if kind != "name":
            raise Mismatch
        if word in _RECORDS and self.peek() == "(":
            return self._record(_RECORDS[word])
        return _WORDS.get(word, word)

    def _record(self, kind: type[Any]) -> Any:
        hints, values = get_type_hints(kind), {}
        self.expect("(")
        while self.peek() != ")":
            name = self.take()
            if name not in hints:
                raise Mismatch
            self.expect("=")
            values[name] = self.field(role_of(hints[name]), hints[name])
            if self.peek() == ",":
                self.take()
        self.take()
        return kind(**values)

    # -- expressions --------------------------------------------------------------------------

    def expression(self, level: int = 0) -> Expr:
        """An expression whose operators bind at least as strongly as `level`."""
        left = self._operand()
        while not self.ended and self.peek() in _SYMBOLS:
            name, own = _SYMBOLS[self.peek()]
            if own < level:
                break
            self.take()
            left = Apply(name, (left, self.expression(own + 1)))
        return left

    def _operand(self) -> Expr:
        if self.peek() != "-":
            return self._primary()
        self.take()
        if self.kind == "number" or self.peek() in ("inf", "nan"):
            inner = self._primary()
            assert isinstance(inner, Const)
            return Const(-inner.value)
        return Apply("neg", (self.expression(NEGATION),))

    def _primary(self) -> Expr:
        if self.ended:
            raise Mismatch
        kind, word = self.tokens[self.at]
        self.at += 1
        if kind == "number":
            return Const(_number(word))
        if kind == "local":
            return Local(word[1:])
        if kind == "text":
            return self._load(json.loads(word))
        if word == "(":
            return self._closed()
        if kind != "name":
            raise Mismatch
        if word in ("inf", "nan", "true", "false"):
            return Const(_WORDS[word])  # type: ignore[arg-type]
        return self._called(word) if self.peek() == "(" else self._load(word)

    def _load(self, name: str) -> Load:
        if self.peek() != "[":
            return Load(name)
        self.take()
        back = self.expression()
        self.expect("]")
        if isinstance(back, Const) and isinstance(back.value, int):
            return Load(name, ago=back.value)
        return Load(name, ago=back)

    def _closed(self) -> Expr:
        value = self.expression()
        if self.peek() == "if":
            self.take()
            test = self.expression()
            self.expect("else")
            value = Apply("select", (test, value, self.expression()))
        self.expect(")")
        return value

    def _called(self, word: str) -> Expr:
        if word == "index":
            self.expect("(")
            side = self.take()
            axis = self.take() if self.peek() != ")" else None
            self.expect(")")
            return Index(axis, side)
        if word == "ref":
            self.expect("(")
            found = Ref(self.plain(), self.take(), self.plain())
            if self.peek() != ")":
                found = replace(found, slot=self.take())
            self.expect(")")
            return found
        self.expect("(")
        args: list[Expr] = []
        if word in ("pre", "post", "other", "newest"):
            read = self._primary()
            self.expect(")")
            if not isinstance(read, Load):
                raise Mismatch
            return Load(read.buffer, side=word, ago=read.ago)
        while self.peek() != ")":
            args.append(self.expression())
            if self.peek() == ",":
                self.take()
            elif self.peek() == "over":
                self.take()
                axis = self.plain()
                self.expect(")")
                return Reduce(word, axis, args[0])
        self.take()
        if word == "custom" and len(args) == 3:
            return Custom(args[0], args[1], args[2])
        return Apply(word, tuple(args))


def _number(word: str) -> float | int:
    return int(word) if word.isdigit() else float(word)


def _typed(value: Any, hint: Any) -> Any:
    """A plain value as its field's type wants it."""
    if hint == Space and isinstance(value, tuple):
        return tuple(axis_of(part) for part in value)
    for kind in (hint, *get_args(hint)):
        if isinstance(kind, type) and issubclass(kind, Enum) and isinstance(value, str):
            return kind(value)
    return value
