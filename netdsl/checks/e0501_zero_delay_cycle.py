"""E0501: a cycle of statements that all wait for each other within one step.

Bodies are cut into segments at the first read of each zero-delay input; a segment follows the one
before it, and a zero-delay projection makes the reader of its input wait for the last assignment
of what it sends (reference, sections 1 and 3).
"""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING

from netdsl.dataflow.walk import statement_parts
from netdsl.diagnostics import NO_SPAN, Diagnostic, Label
from netdsl.ir.expr import PREV, Expr, Ref, refs
from netdsl.ir.network import Kind, Network, Population, Projection

if TYPE_CHECKING:
    import networkx as nx

Node = tuple[str, str, int]  # ("input", path, 0) or ("segment", population, number)


def check(network: Network) -> Iterator[Diagnostic]:
    """One error per strongly connected group, naming one cycle in it."""
    if not _populations_wait(network):
        return
    import networkx as nx  # on demand: most networks have no such cycle even of populations

    graph = segment_graph(network)
    for group in nx.strongly_connected_components(graph):
        part = graph.subgraph(group)
        if len(group) == 1 and not part.number_of_edges():
            continue
        start = min(group)
        edges = nx.find_cycle(part, start)
        names = [part.edges[edge]["projection"] for edge in edges]
        cycle = [network.projections[name] for name in names if name is not None]
        if cycle:
            yield _error(_rotated(cycle))


def _populations_wait(network: Network) -> bool:
    """Do zero-delay projections form a cycle of populations? Without one, none of statements."""
    waits: dict[str, set[str]] = {}
    for projection in network.projections.values():
        if projection.delay == 0:
            waits.setdefault(projection.post, set()).add(projection.pre)
    try:
        TopologicalSorter(waits).prepare()
    except CycleError:
        return True
    return False


def _rotated(cycle: list[Projection]) -> list[Projection]:
    # The cycle starts with the projection that is written first.
    first = min(range(len(cycle)), key=lambda i: cycle[i].span or NO_SPAN)
    return cycle[first:] + cycle[:first]


def _error(cycle: list[Projection]) -> Diagnostic:
    shown = f"`{cycle[0].pre}`"
    for projection in cycle:
        shown += f" -{projection.name}-> `{projection.post}`"
    labels = tuple(
        Label(projection.span, "and this one") for projection in cycle[1:] if projection.span
    )
    return Diagnostic(
        "E0501",
        f"zero-delay cycle: {shown}",
        cycle[0].span or NO_SPAN,
        labels,
        "give one of these projections `delay 1 step`",
        note="waits for itself within one step",
    )


def segment_graph(network: Network) -> nx.DiGraph[Node]:
    """Segments and zero-delay inputs; edges that carry a delivery hold its projection's name."""
    instant = [p for p in network.projections.values() if p.delay == 0]
    inputs = {deliver.input for p in instant for deliver in p.delivers}
    import networkx as nx

    graph: nx.DiGraph[Node] = nx.DiGraph()
    last: dict[str, Node] = {}
    for population in network.populations.values():
        last.update(_add_segments(graph, population, inputs))
    for projection in instant:
        for deliver in projection.delivers:
            target: Node = ("input", deliver.input, 0)
            for source in _sources(network, deliver.value, last):
                graph.add_edge(source, target, projection=projection.name)
    return graph


def _add_segments(
    graph: nx.DiGraph[Node], population: Population, inputs: set[str]
) -> dict[str, Node]:
    segment: Node = ("segment", population.name, 0)
    graph.add_node(segment)
    met: set[str] = set()
    last: dict[str, Node] = {}
    for statement in population.body:
        parts = tuple(statement_parts(statement))
        new: set[str] = set()
        for _, _, value, _ in parts:
            new |= (_inputs(population, value) & inputs) - met
        if new:
            following: Node = ("segment", population.name, segment[2] + 1)
            graph.add_edge(segment, following, projection=None)
            segment = following
            met |= new
            for path in new:
                graph.add_edge(("input", path, 0), segment, projection=None)
        last.update({target: segment for _, target, _, _ in parts})
    return last


def _inputs(population: Population, expr: Expr) -> set[str]:
    """Inputs that an expression reads now, also through definitions."""
    found: set[str] = set()
    waiting = list(refs(expr))
    seen: set[str] = set()
    while waiting:
        ref = waiting.pop()
        variable = population.variables.get(ref.path)
        if variable is None or ref.path in seen or ref.time == PREV or ref.time.startswith("@"):
            continue
        seen.add(ref.path)
        if variable.kind is Kind.INPUT:
            found.add(ref.path)
        elif variable.kind is Kind.DEF and variable.definition is not None:
            waiting.extend(refs(variable.definition))
    return found


def _sources(network: Network, value: Expr, last: dict[str, Node]) -> Iterator[Node]:
    for ref in refs(value):
        if ref.side == "pre":
            yield from _sent(network, ref, last, frozenset())


def _sent(
    network: Network, ref: Ref, last: dict[str, Node], seen: frozenset[str]
) -> Iterator[Node]:
    variable = network.table.get(ref.path)
    if variable is None or ref.path in seen or ref.time == PREV or ref.time.startswith("@"):
        return
    if variable.kind is Kind.INPUT:
        yield ("input", ref.path, 0)
    elif variable.kind is Kind.DEF and variable.definition is not None:
        for inner in refs(variable.definition):
            yield from _sent(network, inner, last, seen | {ref.path})
    elif ref.path in last:
        yield last[ref.path]
