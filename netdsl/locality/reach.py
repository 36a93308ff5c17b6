"""What one application of a rule can depend on, by data flow within one learning step."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.dataflow.flow import FlowGraph
from netdsl.dataflow.walk import Flow, walk_rule
from netdsl.ir.expr import Ref, refs
from netdsl.ir.network import Kind, Projection, Rule

SETTLED_KINDS = (Kind.DEF, Kind.INPUT, Kind.LET, Kind.MODULATOR, Kind.TABLE)


def reach(
    graph: FlowGraph, projection: Projection, rule: Rule, buffers: frozenset[str]
) -> frozenset[str]:
    """Variables (and `x@phase` snapshots) whose values before the step can enter the update.

    A rule that runs at every step sees what its reads become within the step: everything upstream
    up to the first projection with a delay. A rule `at update` sees present states, with inputs and
    definitions settled through any projection. `buffers`: names that the program keeps.
    """
    reached = _Reach(graph, rule.clock == "update", buffers)
    if rule.optimiser is not None:
        reached.seen |= set(rule.optimiser.variables)
    reached.seen |= {projection.weight or "", *rule.variables}
    sign = refs(projection.sign) if projection.sign is not None else ()
    for ref in (*sign, *(ref for flow in walk_rule(rule) for ref in flow.sources)):
        reached.visit(ref)
    return frozenset(reached.seen)


class _Reach:
    def __init__(self, graph: FlowGraph, settled: bool, buffers: frozenset[str]) -> None:
        self.graph, self.settled, self.buffers = graph, settled, buffers
        self.seen: set[str] = set()
        self._expanded: set[tuple[str, bool]] = set()

    def visit(self, ref: Ref, old: bool = False) -> None:
        """Follow one read; `old`: its value is from before the step."""
        phase = ref.phase
        snapshot = f"{ref.path}@{phase}"
        if phase is not None and snapshot in self.buffers:
            self.seen.add(snapshot)
            return
        self.seen.add(ref.path)
        if (ref.path, old) in self._expanded:
            return
        self._expanded.add((ref.path, old))
        for flow in self._flows(ref.path, old):
            late = old or self._delayed(flow)
            for source in flow.sources:
                self.visit(source, late)

    def _flows(self, path: str, old: bool) -> Iterator[Flow]:
        variable = self.graph.variable(path)
        kind = variable.kind if variable is not None else None
        for flow in self.graph.into.get(path, ()):
            if flow.kind in ("set", "initial"):
                continue
            # Old values are what they are, except what is computed from old ones where it is read.
            if old and kind not in (Kind.DEF, Kind.TABLE):
                continue
            if self.settled and kind not in SETTLED_KINDS:
                continue
            yield flow

    def _delayed(self, flow: Flow) -> bool:
        if self.settled or flow.channel is None:
            return False
        return self.graph.network.projections[flow.channel].delay > 0
