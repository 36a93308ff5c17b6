"""Who is meant by a broadcast: several numbers for all, of which each neuron takes its own.

`sum(error[k] * (k == post.index) over k)` reads a vector that everybody receives, and computes what
one neuron alone is told: the scope is what is computed, not what is written (reference, section 7,
5c). The mark is a choice by the unit's index or type, or by numbers that it has from the start.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netdsl.dataflow.flow import FlowGraph
from netdsl.dataflow.walk import Flow
from netdsl.ir.expr import Expr, Index, Ref, refs, walk
from netdsl.ir.network import Kind, Place
from netdsl.locality.labels import narrower
from netdsl.locality.received import modulator_of


def addressed(graph: FlowGraph, flows: Iterable[Flow]) -> str:
    """The scope that choosing among modulators makes; `none` where nothing chooses.

    `flows`: what a rule computes, its definitions included.
    """
    flows = tuple(flows)
    lets = {f.target: f.expr for f in flows if _is_let(graph, f.target)}
    if len(set(_broadcast(graph, (flow.expr for flow in flows)))) < 2:
        return "none"
    scope = "none"
    for flow in flows:
        if any(isinstance(node, Index) for node in walk(flow.expr)):
            return "neuron"
        inlined = tuple(_inlined(flow.expr, lets))
        if len(set(_broadcast(graph, inlined))) > 1:
            for ref in (ref for expr in inlined for ref in refs(expr)):
                if ref.path.endswith(".type"):
                    scope = narrower(scope, "celltype")
                elif ref.side in ("pre", "post") and given(graph, ref.path):
                    scope = "neuron"
    return scope


def given(graph: FlowGraph, path: str, seen: frozenset[str] = frozenset()) -> bool:
    """Whether a variable of a cell is fixed when the network is built, neuron by neuron."""
    variable = graph.variable(path)
    if variable is None or variable.place not in (Place.UNIT, Place.NEURON) or path in seen:
        return False
    if variable.kind is Kind.PARAM:
        return True
    if variable.kind not in (Kind.STATE, Kind.DEF, Kind.LET):
        return False
    flows = graph.into.get(path, [])
    sources = [ref.path for flow in flows for ref in flow.sources]
    return all(graph.is_shared(p) or given(graph, p, seen | {path}) for p in sources) and bool(
        sources or any(isinstance(node, Index) for flow in flows for node in walk(flow.expr))
    )


def _is_let(graph: FlowGraph, path: str) -> bool:
    variable = graph.variable(path)
    return variable is not None and variable.kind in (Kind.LET, Kind.DEF)


def _broadcast(graph: FlowGraph, exprs: Iterable[Expr]) -> Iterator[str]:
    found = (ref.path for expr in exprs for ref in refs(expr))
    return (path for path in found if modulator_of(graph.network, path) is not None)


def _inlined(expr: Expr, lets: dict[str, Expr]) -> Iterator[Expr]:
    """An expression, and the definitions that it is made of."""
    seen: set[str] = set()
    waiting = [expr]
    while waiting:
        current = waiting.pop()
        yield current
        for node in walk(current):
            if isinstance(node, Ref) and node.path in lets and node.path not in seen:
                seen.add(node.path)
                waiting.append(lets[node.path])
