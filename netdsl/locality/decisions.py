"""What decides whether, and for how long, something learns: it enters every weight that changes.

A condition of a protocol, a bound of `repeat` or the length of a phase that is computed from
activity, weights or data marks the rules that learn under it, and those that learn afterwards from
states which such a phase has advanced, until the next `reset`. Loops over data end that: what an
epoch is decided by stands outside of learning.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from netdsl.dataflow.flow import FlowGraph
from netdsl.diagnostics.span import Span
from netdsl.ir.expr import Expr, Reduce, refs, span_of, walk
from netdsl.ir.protocol import (
    Choose,
    Clamp,
    Each,
    Repeat,
    Reset,
    Restore,
    Rewire,
    RunPhase,
    RunProtocol,
    SetState,
    Step,
    Update,
    reached,
    steps_of,
)
from netdsl.locality.labels import Label, Level
from netdsl.locality.reads import Violation, line_of

MOVES = Clamp | Reset | Restore | Rewire | RunPhase | SetState | Update


@dataclass(frozen=True)
class Decision:
    """Part of a protocol that is decided by data, with what that makes of a rule under it."""

    protocol: str
    label: Label
    why: str
    span: Span | None

    @property
    def note(self) -> str:
        """For the certificate."""
        return f"whether it learns: {self.why} ({line_of(self.span)})"

    def violations(self, rule: str, projection: str) -> Iterator[Violation]:
        """The levels that need a waiver, on the rule or the projection."""
        names = (rule, projection)
        for level in self.label.levels():
            code = {"cross-sample": "E0310", "aggregated-weights": "E0311"}.get(level.name)
            if code is not None:
                text = f"protocol `{self.protocol}` decides by {self.why} what is learnt"
                path = (f"{line_of(self.span)}: {text}",)
                yield Violation(level.name, code, text, self.span, names, path=path)


def decisions_of(graph: FlowGraph) -> Mapping[str, tuple[Decision, ...]]:
    """The decisions under which each projection learns, by its name."""
    found: dict[str, dict[Decision, None]] = {}
    for protocol in graph.network.protocols.values():
        _Walk(graph, protocol.name, found).block(protocol.body, ())
    return {name: tuple(decisions) for name, decisions in found.items()}


class _Walk:
    """One protocol, statement by statement; `marks`: what states were advanced under."""

    def __init__(
        self, graph: FlowGraph, protocol: str, found: dict[str, dict[Decision, None]]
    ) -> None:
        self.graph, self.protocol, self.found = graph, protocol, found
        self.marks: dict[Decision, None] = {}

    def block(self, body: Iterable[Step], under: tuple[Decision, ...]) -> None:
        for step in body:
            self._step(step, under)

    def _step(self, step: Step, under: tuple[Decision, ...]) -> None:
        if isinstance(step, Each):
            inside = () if step.kind in ("batch", "sample") else under
            self.block(step.body, inside)
        elif isinstance(step, Choose):
            under = (*under, *self._decided(step.condition, (*step.then, *step.otherwise)))
            self.block(step.then, under)
            self.block(step.otherwise, under)
        elif isinstance(step, Repeat):
            bounds = (step.until, step.limit)
            under = (*under, *(d for e in bounds for d in self._decided(e, step.body)))
            self.block(step.body, under)
        elif isinstance(step, RunProtocol):
            inner = _Walk(self.graph, step.protocol, self.found)
            inner.marks = self.marks
            inner.block(self.graph.network.protocols[step.protocol].body, under)
        elif isinstance(step, RunPhase):
            under = (*under, *self._decided(step.steps, (step,)))
            self.marks.update(dict.fromkeys(under))
            self._learn(step.learning)
        elif isinstance(step, Update):
            self.marks.update(dict.fromkeys(under))
            self._learn(step.projections)
        elif isinstance(step, Reset) and not step.targets and not under:
            self.marks.clear()
        elif isinstance(step, MOVES):
            self.marks.update(dict.fromkeys(under))

    def _moves(self, body: tuple[Step, ...]) -> Iterator[Step]:
        for step in steps_of(body):
            if isinstance(step, RunProtocol):
                held = self.graph.network.protocols
                yield from reached(held[step.protocol], held)
            yield step

    def _learn(self, projections: Iterable[str]) -> None:
        for name in projections:
            self.found.setdefault(name, {}).update(self.marks)

    def _decided(self, expr: Expr, body: tuple[Step, ...]) -> Iterator[Decision]:
        label = decided_by(self.graph, expr)
        if label != Label() and any(isinstance(step, MOVES) for step in self._moves(body)):
            names = dict.fromkeys(r.path for r in refs(expr) if _is_data(self.graph, r.path))
            why = ", ".join(f"`{name}`" for name in names)
            yield Decision(self.protocol, label, why, span_of(expr))


def decided_by(graph: FlowGraph, expr: Expr) -> Label:
    """What a decision reads: one for all neurons, so a modulator of scope global at best."""
    label = Label()
    data = [ref.path for ref in refs(expr) if _is_data(graph, ref.path)]
    if data:
        label = label.join(Label(space=Level("modulator")))
    if any(graph.is_synaptic(path) or graph.is_table(path) for path in data):
        label = label.join(Label(space=Level("aggregated-weights")))
    if any(path == "batch.rows" for path in data):
        label = label.join(Label(sample=Level("batch-size-dependent")))
    for node in walk(expr):
        if isinstance(node, Reduce) and node.axis == "batch":
            level = "batch-size-dependent" if graph.only_flags(node.body) else "cross-sample"
            label = label.join(Label(sample=Level(level)))
    return label


def _is_data(graph: FlowGraph, path: str) -> bool:
    return path == "batch.rows" or graph.is_table(path) or not graph.is_shared(path)


__all__ = ["Decision", "decided_by", "decisions_of"]
