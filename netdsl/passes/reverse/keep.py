"""What a phase keeps of each step for the slopes of the reversed ones: the least that will do.

A slope is computed from values of the forward step; it can be kept itself, or computed again from
others that are kept. Every way from what the step read to the slopes must meet something that is
kept, and of all such choices the one with the fewest bytes is taken: a minimum cut of the graph of
expressions (as PyTorch's `min_cut_rematerialization_partition` cuts a joint graph). Bools are kept
as bits. What no choice can avoid, as the spikes that products over time read, costs nothing here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from math import inf

from netdsl.ir.expr import Apply, Expr, Load, Local, children, walk
from netdsl.ir.functions import FUNCTIONS
from netdsl.ir.network import Place, Type
from netdsl.ir.program import Statement
from netdsl.passes.reverse.cut import cheapest
from netdsl.passes.reverse.moment import Moment
from netdsl.passes.reverse.redo import Redo
from netdsl.passes.reverse.tape import COUNTERS, Tape

_BIT, _FREE = 1 / 32, 1e-6  # in numbers of float32


@dataclass
class Kept:
    """Chooses for one reversed run of statements. `drawn`: names of what it drew, which is known
    behind it; `made`: buffers of adjoints, which the phase does not know."""

    tape: Tape
    moment: Moment
    drawn: Mapping[str, str]
    places: Mapping[str, Place]
    free: Set[str]  # buffers that are kept anyway
    redo: Redo  # what arrived may be made again from what was sent
    bound: dict[str, Expr] = field(default_factory=dict)
    forward: dict[Expr, bool] = field(default_factory=dict)
    cost: dict[Expr, float] = field(default_factory=dict)
    ways: list[tuple[Expr, Expr]] = field(default_factory=list)
    starts: list[Expr] = field(default_factory=list)
    ends: list[Expr] = field(default_factory=list)

    def chosen(self, statements: Iterable[Statement]) -> set[Expr]:
        """The values to keep, among them reads of buffers."""
        for statement in statements:
            for value in statement.values:
                if not statement.binds or not self._forward(value):
                    self._used(value)
                else:
                    self.bound[statement.binds] = value
        return cheapest(self.cost, self.ways, self.starts, self.ends)

    def _forward(self, expr: Expr) -> bool:
        """Does the forward step know this value?"""
        if expr not in self.forward:
            if isinstance(expr, Local):
                known = expr.name in self.drawn or expr.name in self.bound
            elif isinstance(expr, Load):
                known = expr.buffer in self.tape.touched
            else:
                known = all(map(self._forward, children(expr)))
            self.forward[expr] = known
        return self.forward[expr]

    def _used(self, expr: Expr) -> None:
        """The reversed step computes this: it reads the parts that the forward step knows."""
        if not self._forward(expr):
            for child in children(expr):
                self._used(child)
            return
        node = self._node(expr)
        if node is not None:
            self.ends.append(node)

    def _node(self, expr: Expr) -> Expr | None:
        """The node of a forward value, None of one that does not change."""
        if isinstance(expr, Local) and expr.name in self.bound:
            return self._node(self.bound[expr.name])
        if expr in self.cost:
            return expr
        leaf = isinstance(expr, Load | Local)
        if isinstance(expr, Load) and (
            expr in COUNTERS or not self.tape.changes(self.moment, expr.buffer)
        ):
            return None
        again = self.redo.sent(self.moment, expr) if isinstance(expr, Load) else None
        parts = children(expr) if again is None else (again[1],)
        from_ = [n for c in parts if (n := self._node(c)) is not None]
        if not leaf and not from_:
            return None
        self.cost[expr] = self._leaf(expr) if leaf else self._computed(expr)
        self.ways += [(node, expr) for node in from_]
        if leaf and again is None:
            self.starts.append(expr)
        return expr

    def _leaf(self, expr: Expr) -> float:
        """What it costs to keep what a buffer held."""
        name = expr.buffer if isinstance(expr, Load) else self.drawn[expr.name]  # type: ignore[attr-defined]
        if name in self.free:
            return _FREE
        held = self.tape.context.buffers[name]
        if held.place is not Place.UNIT:
            return 1 / self.tape.context.size(held.owner) if held.owner else _FREE
        return _BIT if held.type is Type.BOOL else 1.0

    def _computed(self, expr: Expr) -> float:
        """What it costs to keep a result: one number for each cell, known when the step runs."""
        drawn = any(isinstance(n, Local) and n.name in self.drawn for n in self._whole(expr))
        if drawn or self.tape.context.place(expr, dict(self.places)) is not Place.UNIT:
            return inf
        return _BIT if boolean(expr) else 1.0

    def _whole(self, expr: Expr) -> Iterable[Expr]:
        """All nodes, through names."""
        for node in walk(expr):
            yield node
            if isinstance(node, Local) and node.name in self.bound:
                yield from self._whole(self.bound[node.name])


def boolean(expr: Expr) -> bool:
    """Is a value 0 or 1?"""
    return isinstance(expr, Apply) and FUNCTIONS[expr.function].result == "bool"
