"""What a variable of a cell holds that it shares with others: reductions, modulators, data.

A copy, a definition or an assignment keeps what enters it. What integrates its inputs (`d x/dt`, or
`x := f(x, …)` that depends on x), spikes and traces make a further state of what they read, so that
only what stands in their own statements counts (reference, section 7, space 6).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from netdsl.dataflow.derivatives import moves
from netdsl.dataflow.flow import FlowGraph, reductions
from netdsl.dataflow.walk import Flow
from netdsl.diagnostics.span import Span
from netdsl.ir.expr import Apply, Expr, Index, Reduce, Ref, children, refs, walk
from netdsl.ir.network import Integrate, Kind, Modulator, Network, Place
from netdsl.locality.labels import SCOPES

INLINED = (Kind.LET, Kind.DEF)
HELD = (Kind.STATE, Kind.INPUT, Kind.DRAW)
PROTOCOL = ("clamp", "set")


@dataclass(frozen=True)
class Received:
    """A number that reaches more than one neuron: who gets the same one, and why in words."""

    scope: str
    why: str
    span: Span | None


def modulator_of(network: Network, path: str) -> Modulator | None:
    """The modulator that emits a variable, if one does."""
    return next((m for m in network.modulators if m.variable == path), None)


def received(graph: FlowGraph, path: str) -> Received | None:
    """The most specific of what a variable holds of the kind, None if all is its unit's own."""
    found = [part for flow in _own_flows(graph, path) for part in _parts(graph, flow)]
    return max(found, key=lambda part: SCOPES.index(part.scope), default=None)


def given_by_data(graph: FlowGraph, path: str) -> Iterator[tuple[str, Span | None]]:
    """Fields of samples that a protocol puts on a variable as it is, and where."""
    for flow in _own_flows(graph, path):
        if flow.kind in PROTOCOL:
            yield from (
                (ref.path, flow.span) for ref in flow.sources if graph.is_sample_field(ref.path)
            )


def _own_flows(graph: FlowGraph, path: str) -> Iterator[Flow]:
    seen: set[tuple[str, bool]] = set()
    waiting = [(path, True)]  # whether what it reads is kept as it is
    while waiting:
        current, kept = waiting.pop()
        if (current, kept) in seen:
            continue
        seen.add((current, kept))
        for flow in graph.into.get(current, ()):
            if flow.kind in ("initial", "slope"):
                continue
            yield flow
            copied = kept and not integrates(graph, flow)
            through = (*INLINED, *HELD) if copied else INLINED
            for ref in flow.sources if flow.kind != "deliver" else ():
                variable = graph.variable(ref.path)
                if variable is not None and variable.kind in through:
                    waiting.append((ref.path, copied))


def integrates(graph: FlowGraph, flow: Flow) -> bool:
    """Whether a statement makes a further state of what it reads."""
    variable = graph.variable(flow.target)
    if variable is not None and variable.kind in (Kind.SPIKE, Kind.TRACE):
        return True
    if flow.kind != "statement" or variable is None or variable.kind is not Kind.STATE:
        return False
    return isinstance(flow.node, Integrate) or moves(flow.expr, flow.target)


def _parts(graph: FlowGraph, flow: Flow) -> Iterator[Received]:
    at = flow.span
    target = f"`{flow.target}`"
    several = len({r.path for r in refs(flow.expr) if modulator_of(graph.network, r.path)}) > 1
    several = several and any(isinstance(node, Index) for node in walk(flow.expr))
    for ref, chosen in data_reads(flow.expr):
        modulator = modulator_of(graph.network, ref.path)
        if modulator is not None:
            why = f"{target} reads modulator `{modulator.name}`"
            yield Received("neuron" if several else modulator.scope, why, at)  # each takes its own
        elif graph.is_sample_field(ref.path):
            variable = graph.variable(ref.path)
            each = chosen or (variable is not None and variable.place is Place.UNIT)
            if not (each and flow.kind in PROTOCOL):  # given by data, a value for each unit
                yield Received("neuron" if each else "global", f"{target} reads `{ref.path}`", at)
    if flow.kind != "deliver" and reductions(flow.expr):
        owner = graph.owner(flow.target)
        if owner in graph.network.populations:
            why = f"{target} is defined by a reduction over `{owner}`"
            yield Received(_receivers(graph, owner, flow.expr), why, at)


def data_reads(expr: Expr, chosen: bool = False) -> Iterator[tuple[Ref, bool]]:
    """Reads, and whether each is compared with the unit's index, as `onehot` does."""
    if isinstance(expr, Ref):
        yield expr, chosen
    picks = isinstance(expr, Apply) and expr.function == "eq"
    picks = picks and any(isinstance(arg, Index) for arg in children(expr))
    for child in children(expr):
        yield from data_reads(child, chosen or picks)


def _receivers(graph: FlowGraph, owner: str, expr: Expr) -> str:
    """Who gets the same number: with a reduction over one axis, not the whole population."""
    if _asks(expr, f"{owner}.type"):
        return "celltype"
    axes = {name for name, _ in graph.network.populations[owner].axes if name}
    return "neuron" if any(r.axis in axes for r in reductions(expr)) else "population"


def _asks(expr: Expr, path: str) -> bool:
    """Is a variable read for the unit itself, and not only of those that are summed over?"""
    if isinstance(expr, Reduce):
        return False
    own = isinstance(expr, Ref) and expr.path == path
    return own or any(_asks(part, path) for part in children(expr))
