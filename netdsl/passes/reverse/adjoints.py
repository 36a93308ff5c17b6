"""Adjoints: derivatives of the loss by what buffers hold, and where they lie."""

from __future__ import annotations

from dataclasses import dataclass, field

from netdsl.ir.expr import Expr
from netdsl.passes.lower.context import Context, add

Slot = tuple[str, int]  # a buffer, and how many pushes ago


@dataclass
class Share:
    """The adjoint of a value: a number per sample, and one per neuron yet to be summed if the
    value is one per sample."""

    row: Expr | None = None
    unit: Expr | None = None

    def add(self, row: Expr | None, unit: Expr | None) -> None:
        """Add to both parts."""
        self.row = plus(self.row, row)
        self.unit = plus(self.unit, unit)


def plus(a: Expr | None, b: Expr | None) -> Expr | None:
    """The sum of what there is."""
    if a is None or b is None:
        return b if a is None else a
    return add(a, b)


@dataclass
class Adjoints:
    """The buffers of adjoints. One that is not `live` stands for zeros, whatever it holds."""

    context: Context
    number: int = 0  # of the loss
    live: set[Slot] = field(default_factory=set)
    names: dict[Slot, str] = field(default_factory=dict)

    def name(self, buffer: str, ago: int = 0) -> str:
        """The buffer that holds the adjoint of another, or of one of its slots."""
        if (buffer, ago) not in self.names:
            self.names[buffer, ago] = self._new(buffer, f":{ago}" if ago else "")
        return self.names[buffer, ago]

    def _new(self, buffer: str, slot: str) -> str:
        held, why = self.context.buffers[buffer], "derivative of the loss"
        name = f"{buffer}@adjoint{self.number or ''}{slot}"
        if name in self.names.values():
            return self.context.scratch(name, held.place, held.owner, why)
        return self.context.need(name, held.place, held.owner, "scratch", why)

    def hand(self, buffer: str, to: str) -> None:
        """Let another buffer have the adjoint of one that has none any more."""
        self.names[to, 0] = self.names.pop((buffer, 0))
        self.live.add((to, 0))
