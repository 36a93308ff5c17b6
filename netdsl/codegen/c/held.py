"""What a loop's body holds in registers: elements of buffers that it reads again.

A C compiler takes a store to one buffer for a possible change of any other, so it would load all
again behind each.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from netdsl.codegen.c.rows import LoopStatement
from netdsl.ir.expr import Load, walk


@dataclass
class Held:
    """The names of what is held by now; `ahead` counts the reads that are still to come."""

    statements: Sequence[LoopStatement] = ()
    scalar: Callable[[str], bool] = bool  # is a buffer one number, which needs no register
    ahead: Counter[str] = field(default_factory=Counter)
    names: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for statement in self.statements:
            self.ahead.update(_reads(statement))

    def load(
        self, statement: LoopStatement, name: Callable[[str], str]
    ) -> Iterator[tuple[str, str]]:
        """Buffers that are to be held from this statement on, which reads them."""
        for buffer in _reads(statement):
            again = self.ahead[buffer] > 1 and not self.scalar(buffer)
            if again and buffer not in self.names:
                self.names[buffer] = name(buffer)
                yield buffer, self.names[buffer]
        self.ahead.subtract(_reads(statement))

    def store(self, buffer: str, name: Callable[[str], str]) -> str:
        """The name of what is stored now, if it is read again, else ""."""
        self.names.pop(buffer, None)
        if not self.ahead[buffer]:
            return ""
        return self.names.setdefault(buffer, name(buffer))


def _reads(statement: LoopStatement) -> Counter[str]:
    nodes = (node for value in statement.values for node in walk(value))
    return Counter(node.buffer for node in nodes if isinstance(node, Load))
