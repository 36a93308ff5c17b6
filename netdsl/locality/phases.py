"""How many values of earlier phases a rule must keep until it is applied."""

from __future__ import annotations

from collections.abc import Iterable

from netdsl.dataflow.flow import FlowGraph
from netdsl.ir.expr import Expr, Ref, refs
from netdsl.ir.network import Kind, Network, Projection, Rule
from netdsl.ir.protocol import RunPhase, Update, steps_of
from netdsl.locality.labels import Level
from netdsl.locality.reads import modulator_of


def kept_values(graph: FlowGraph, expressions: Iterable[Expr]) -> frozenset[tuple[str, str]]:
    """(variable, phase) pairs that expressions read, definitions and modulators looked into."""
    found: set[tuple[str, str]] = set()
    for expr in expressions:
        for ref in refs(expr):
            if ref.phase is not None:
                found.add((ref.path, ref.phase))
            elif _looked_into(graph, ref):
                inner = (r for e in graph.own_expressions(ref.path) for r in refs(e))
                found |= {(r.path, r.phase) for r in inner if r.phase is not None}
    return frozenset(found)


def _looked_into(graph: FlowGraph, ref: Ref) -> bool:
    variable = graph.variable(ref.path)
    is_definition = variable is not None and variable.kind in (Kind.DEF, Kind.LET)
    return is_definition or modulator_of(graph.network, ref.path) is not None


def last_phases(network: Network, projection: Projection, rule: Rule) -> frozenset[str]:
    """Phases that may be the last one when a rule is applied, over all protocols."""
    found: set[str] = set()
    for protocol in network.protocols.values():
        last: str | None = None
        for step in steps_of(protocol.body):
            if isinstance(step, RunPhase):
                last = step.name
                if rule.clock == "step" and projection.name in step.learning:
                    found.add(step.name)
            elif isinstance(step, Update) and projection.name in step.projections and last:
                found.add(last)
    return frozenset(found)


def phase_level(
    graph: FlowGraph, projection: Projection, rule: Rule, expressions: Iterable[Expr]
) -> Level:
    """`single`, or `multi(n)` with n values kept from phases before the last one."""
    kept = kept_values(graph, expressions)
    candidates = last_phases(graph.network, projection, rule) or frozenset({""})
    n = max(len([1 for _, phase in kept if phase != last]) for last in candidates)
    return Level("multi", n) if n else Level("single")
