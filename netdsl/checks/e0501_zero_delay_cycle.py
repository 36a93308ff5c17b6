"""E0501: a cycle of statements that all wait for each other within one step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from netdsl.dataflow.order import (
    Circle,
    Feeds,
    Node,
    in_order,
    numbers_of_slots,
    read_now,
    waits_within_step,
)
from netdsl.dataflow.walk import statement_parts
from netdsl.diagnostics import NO_SPAN, Diagnostic, Label
from netdsl.ir.network import Deliver, Network, Population, Projection


@dataclass
class Piece:
    """Statements of a body up to the next one that first reads an input fed within the step."""

    inputs: set[str] = field(default_factory=set)
    assigns: set[str] = field(default_factory=set)
    reads: set[str] = field(default_factory=set)


def check(network: Network) -> Iterator[Diagnostic]:
    """One error per strongly connected group, naming one cycle in it.

    What a delivery reads at its target is left to lowering, which knows what is clamped.
    """
    late = _fed_at_once(network)
    if not late:
        return
    bodies = {name: _pieces(network, p, late) for name, p in network.populations.items()}
    waits = waits_within_step(network, bodies, late, post=False)
    try:
        in_order(waits)
    except Circle:
        yield from _cycles(network, waits)


def _fed_at_once(network: Network) -> Feeds:
    late: dict[str, list[tuple[Projection, Deliver]]] = {}
    for projection in network.projections.values():
        for deliver in projection.delivers if projection.delay == 0 else ():
            late.setdefault(deliver.input, []).append((projection, deliver))
    return late


def _pieces(network: Network, population: Population, late: Feeds) -> list[Piece]:
    pieces = [Piece()]
    met: set[str] = set()
    for statement in population.body:
        parts = tuple(statement_parts(statement))
        read = {path for _, _, value, _ in parts for path in read_now(network, value)[1]}
        slots = numbers_of_slots(network, population.name, (value for _, _, value, _ in parts))
        new = (read & late.keys() | slots) - met
        if new:
            met |= new
            pieces.append(Piece(new - slots, reads=new & slots))
        pieces[-1].assigns.update(target for _, target, _, _ in parts)
    return pieces


def _cycles(network: Network, waits: Mapping[Node, list[Node]]) -> Iterator[Diagnostic]:
    import networkx as nx  # on demand: most networks have no cycle

    graph: nx.DiGraph[Node] = nx.DiGraph()
    graph.add_edges_from((before, node) for node, found in waits.items() for before in found)
    for group in nx.strongly_connected_components(graph):
        if len(group) == 1:
            continue
        start = min(node for node in group if node[0] == "input")
        edges = nx.find_cycle(graph.subgraph(group), start)
        names = [node[1] for node, _ in edges if node[0] == "send"]
        yield _error(_rotated([network.projections[name] for name in names]))


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
