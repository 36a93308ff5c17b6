"""Expressions as text, with as few parentheses as their operators need."""

from __future__ import annotations

import json
import math
import re

from netdsl.ir.expr import (
    NOW,
    SECOND,
    Apply,
    Const,
    Custom,
    Expr,
    Index,
    Load,
    Local,
    Reduce,
    Ref,
)
from netdsl.ir.functions import FUNCTIONS

INFIX = {row.name: (row.symbol, row.level) for row in FUNCTIONS.values() if row.symbol}
NEGATION = 6  # how strongly a leading minus binds

_NUMBER = re.compile(r"-?(\d|\.\d|inf\b|nan\b)|true|false")
BARE = re.compile(r"[A-Za-z_][\w]*(?:[.@:#][\w]+)*")


def expression(expr: Expr, level: int = 0, *, exact: bool = False) -> str:
    """An expression as a reader of a schedule sees it, or (`exact`) so that it reads back equal.

    `level`: how strongly the operator around it binds.
    """
    return _Printer(exact).text(expr, level)


_RESERVED = frozenset({"none", "true", "false", "inf", "nan", "and", "or", "if", "else", "over"})


def bare(name: str) -> str:
    """A name as it stands where it can be told from all else, or in quotes."""
    plain = BARE.fullmatch(name) and name not in _RESERVED
    return name if plain else json.dumps(name)


_INDICES = {"": "p", "own": "p", SECOND: "p'", "slot0": "q", "slot1": "r"}


def _indices(slot: str) -> str:
    """Slots as a reader sees them: names of indices, of whatever memory."""
    parts = (part.replace("/", ":").rpartition(":")[2] for part in slot.split(","))
    return ", ".join(_INDICES.get(part, part) for part in parts)


class _Printer:
    def __init__(self, exact: bool) -> None:
        self.exact = exact

    def text(self, expr: Expr, level: int = 0) -> str:
        if isinstance(expr, Const):
            return self._const(expr, level)
        if isinstance(expr, Ref):
            return self._ref(expr)
        if isinstance(expr, Load):
            return self._load(expr)
        if isinstance(expr, Local):
            return f"%{expr.name}"
        if isinstance(expr, Index):
            if self.exact:
                return f"index({expr.side}{' ' + expr.axis if expr.axis else ''})"
            return f"index({expr.axis or expr.side})"
        if isinstance(expr, Reduce):
            return f"{expr.kind}({self.text(expr.body)} over {self._axis(expr)})"
        if isinstance(expr, Custom):
            return self._custom(expr, level)
        assert isinstance(expr, Apply)
        return self._apply(expr, level)

    def _axis(self, expr: Reduce) -> str:
        if expr.over_slots is None or self.exact:
            return expr.axis
        memory, index = expr.over_slots
        return f"{_indices(index)} in {memory}"

    def _custom(self, expr: Custom, level: int) -> str:
        """A reader of a schedule sees the value."""
        if not self.exact:
            return self.text(expr.value, level)
        parts = (expr.value, expr.argument, expr.slope)
        return f"custom({', '.join(self.text(part) for part in parts)})"

    def _load(self, expr: Load) -> str:
        name = bare(expr.buffer) if self.exact else expr.buffer
        if expr.ago != 0:
            back = self.text(expr.ago) if isinstance(expr.ago, Expr) else str(expr.ago)
            name += f"[{back}]"
        return name if expr.side == "own" else f"{expr.side}({name})"

    def _const(self, expr: Const, level: int) -> str:
        value = expr.value
        if isinstance(value, bool):
            return str(value).lower() if self.exact else str(value)
        text = repr(value) if self.exact or isinstance(value, int) else f"{value:.10g}"
        negative = math.copysign(1.0, value) < 0
        return f"({text})" if negative and level > NEGATION else text

    def _ref(self, expr: Ref) -> str:
        if self.exact:
            slot = f" {expr.slot}" if expr.slot else ""
            return f"ref({expr.path} {expr.side} {expr.time}{slot})"
        side = "" if expr.side == "own" else f"{expr.side} "
        time = "" if expr.time == NOW else f"@{expr.time.lstrip('@')}"
        slot = f"[{_indices(expr.slot)}]" if expr.slot else ""
        return f"{side}{expr.path}{slot}{time}"

    def _apply(self, expr: Apply, level: int) -> str:
        if expr.function in INFIX and len(expr.args) == 2:
            symbol, own = INFIX[expr.function]
            left, right = self.text(expr.args[0], own), self.text(expr.args[1], own + 1)
            text = f"{left} {symbol} {right}"
            return f"({text})" if own < level else text
        if expr.function == "neg":
            inner = self.text(expr.args[0], NEGATION)
            # `-1` is a constant, also in `-1 ^ x`; `-(1)` is not.
            text = f"-({inner})" if self.exact and _NUMBER.match(inner) else f"-{inner}"
            return f"({text})" if level > NEGATION else text
        if expr.function == "select":
            test, yes, no = (self.text(arg) for arg in expr.args)
            return f"({yes} if {test} else {no})"
        return f"{expr.function}({', '.join(self.text(arg) for arg in expr.args)})"
