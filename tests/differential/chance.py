"""Random choices of the generator, and random expressions whose values stay moderate."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

from tests.differential.known import KNOWN

T = TypeVar("T")

# A truth value or a step jumps where two number types, or two orders of a sum, differ by rounding.
_SMOOTH = (
    "tanh({a})", "sigmoid({a})", "relu({a})", "clip({a}, -1, 1)", "sin({a})", "cos({a})",
    "exp(-abs({a}))", "log(1 + abs({a}))", "sqrt(0.1 + abs({a}))", "abs({a})", "-{a}",
    "({a} + {b})", "({a} - {b})", "tanh({a} * {b})", "{a} / (1 + abs({b}))", "min({a}, {b})",
    "max({a}, {b})", "tanh({a}^2)", "bump({a})", "bump({a}, width = 2)",
)  # fmt: skip
_JUMPS = (
    "({a} if {c} else {b})", "sign({a})", "floor({a})", "0.5 * ({c})", "(1 if not ({c}) else {a})",
    "({a} if ({c}) and {b} > -0.51 else {b})", "({b} if {c} or {a} < 0.13 else 0.2)",
)  # fmt: skip


class Chance(random.Random):
    """`smooth`: nothing so far jumps; `batch_free`: nothing so far knows who else is shown."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.smooth = self.batch_free = True

    def odds(self, p: float) -> bool:
        return self.random() < p

    def pick(self, options: Sequence[T]) -> T:
        return options[self.randrange(len(options))]

    def some(self, options: Sequence[T], least: int = 0, most: int | None = None) -> list[T]:
        """A few of the options, in random order."""
        most = len(options) if most is None else min(most, len(options))
        return self.sample(list(options), self.randint(min(least, most), most))

    def number(self, low: float, high: float) -> str:
        """Odd digits, so that sums rarely meet a threshold exactly."""
        return f"{self.uniform(low, high):.3f}"

    def value(self, leaves: Sequence[str], depth: int = 2) -> str:
        """An expression over names."""
        if depth == 0 or self.odds(0.25):
            return self.pick(leaves) if leaves and self.odds(0.75) else self.number(0.1, 1.5)
        forms = _SMOOTH if self.odds(0.75) else (*_SMOOTH, *_JUMPS)
        if KNOWN.floor_division and self.odds(0.1):
            forms = ("{a} // 0.37", "{a} % 0.37")
        form = self.pick(forms)
        if form in _JUMPS or "//" in form or "%" in form:
            self.smooth = False
        a, b = self.value(leaves, depth - 1), self.value(leaves, depth - 1)
        return form.format(a=_closed(a), b=_closed(b), c=f"{a} {self.pick('<>')} {b} + 0.0173")

    def bounded(self, leaves: Sequence[str], depth: int = 2) -> str:
        """An expression between -1 and 1."""
        return f"{self.pick(('tanh', 'sin'))}({self.value(leaves, depth)})"


def _closed(text: str) -> str:
    """So that `-x` and sums may stand as operands."""
    return f"({text})" if text.startswith("-") or " " in text and not text.endswith(")") else text
