"""Whether what a presynaptic unit sends can ever be something else.

A sender that no input, draw, clamp or data can change says nothing: `w * pre.s` is then the weight
itself, and the sum over senders a sum of weights (reference, section 7, space 3a). Relays of such a
sender say nothing either. Only `std.one` may send a constant, to carry biases. Weights that nothing
ever changes are numbers of the cell, whatever is sent to read them.
"""

from __future__ import annotations

from collections.abc import Iterable

from netdsl.dataflow.flow import FlowGraph
from netdsl.ir.algebra.simplify import simplify
from netdsl.ir.expr import Const, Expr, Reduce, Ref, transform
from netdsl.ir.network import Draw, DrawAssign, Kind, Projection

ONE = "std.one"
PROTOCOL = ("clamp", "set")


def says_nothing(graph: FlowGraph, projection: Projection, term: Expr, sent: Iterable[str]) -> bool:
    """Whether what reads a weight that changes is one number for ever, other than 0."""
    if not _changes(graph, projection) or any(_says_something(graph, path) for path in sent):
        return False
    return not _zero(graph, term, frozenset())


def _zero(graph: FlowGraph, expr: Expr, under: frozenset[str]) -> bool:
    """Whether an expression is 0 where what nothing sets and what follows from that is 0."""

    def still(node: Expr) -> Expr | None:
        idle = isinstance(node, Ref) and _stays_zero(graph, node.path, under)
        idle = idle or (isinstance(node, Reduce) and _zero(graph, node.body, under))
        return Const(0.0) if idle else None

    return simplify(transform(expr, still)) == Const(0.0)


def _changes(graph: FlowGraph, projection: Projection) -> bool:
    """Whether a rule or a protocol changes the weights; a transpose carries its own mark."""
    assigned = any(flow.kind == "set" for flow in graph.into.get(projection.weight or "", ()))
    return projection.rule is not None or assigned


def _stays_zero(graph: FlowGraph, path: str, under: frozenset[str]) -> bool:
    if path in under:
        return True
    variable = graph.variable(path)
    begins = variable is not None and variable.init in (None, Const(0.0))
    cell = variable is not None and variable.owner in graph.network.populations
    flows = (f for f in graph.into.get(path, ()) if f.kind != "initial")
    return begins and cell and all(_zero(graph, f.expr, under | {path}) for f in flows)


def _says_something(graph: FlowGraph, path: str) -> bool:
    """Whether data, a draw or a protocol can change the value of a variable, at any distance."""
    if graph.owner(path) == ONE:
        return True
    drawn = {
        step.target
        for population in graph.network.populations.values()
        for step in population.body
        if isinstance(step, DrawAssign)
    }
    seen = {path}
    waiting = [path]
    while waiting:
        current = waiting.pop()
        if current in drawn or graph.is_sample_field(current) or _starts_apart(graph, current):
            return True
        puts = [flow.expr for flow in graph.into.get(current, ()) if flow.kind in PROTOCOL]
        if len(set(puts)) > 1 or _learns(graph, current):
            return True
        new = {ref.path for flow in graph.into.get(current, ()) for ref in flow.sources} - seen
        seen |= new
        waiting.extend(sorted(new))
    return False


def _starts_apart(graph: FlowGraph, path: str) -> bool:
    """Whether it goes on from a drawn start, or is a drawn weight."""
    variable = graph.variable(path)
    if variable is None or not isinstance(variable.init, Draw):
        return False
    moving = any(flow.kind == "statement" for flow in graph.into.get(path, ()))
    return variable.kind is Kind.WEIGHT or (variable.kind is Kind.STATE and moving)


def _learns(graph: FlowGraph, path: str) -> bool:
    projection = graph.network.projections.get(graph.owner(path))
    return projection is not None and projection.rule is not None and projection.weight == path
