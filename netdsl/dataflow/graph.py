"""The network as a graph: what it consists of, and which part's values reach which other one.

The edges come from the walk, so nothing that reads can be left out. The graph itself is plain
tables, which most commands need alone; NetworkX, which takes longer to import than a spec to
check, is asked on demand: to name a cycle, or to draw.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from netdsl.dataflow.walk import CELL, Flow, walk_network
from netdsl.ir.expr import Ref
from netdsl.ir.network import Kind, Network, Projection
from netdsl.ir.protocol import Each, Evaluate, RunProtocol, steps_of

if TYPE_CHECKING:
    import networkx as nx


class Part(NamedTuple):
    """`kind`: population | modulator | data | pairs | protocol | readout | metric | loss | record.

    A modulator is named by what it emits: it has an instance per population.
    """

    kind: str
    name: str


@dataclass(frozen=True)
class Edge:
    """Values of `source` that reach `target`: through a projection, or as a read of `kind`.

    `kind`: "projection", "pairs" (of data), or that of the flow. `carries`: the variables read.
    `projection`: the one that delivers, or that learns from what it reads.
    """

    source: Part
    target: Part
    kind: str
    carries: tuple[str, ...]
    projection: Projection | None = None


class NetworkGraph:
    """Parts of a network as nodes; projections and reads as edges."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self._emitting = {modulator.variable for modulator in network.modulators}
        self.edges = (*_projections(network), *_doubled(network), *self._reads())

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """Everything declared, and every protocol or recorder that something reaches."""
        network = self.network
        declared = (
            *(Part("population", name) for name in network.populations),
            *(Part("modulator", modulator.variable) for modulator in network.modulators),
            *(Part("data", name) for name in network.data),
            *(Part("pairs", name) for name in network.pairs),
            *(Part("readout", name) for name in network.readouts),
            *(Part("metric", name) for name in network.metrics),
            *(Part("loss", name) for name in network.losses),
        )
        ends = (end for edge in self.edges for end in (edge.source, edge.target))
        return tuple(dict.fromkeys((*declared, *ends)))

    @cached_property
    def incident(self) -> Mapping[Part, tuple[Edge, ...]]:
        """The edges that begin or end at each part."""
        found: dict[Part, list[Edge]] = {}
        for edge in self.edges:
            for end in {edge.source, edge.target}:
                found.setdefault(end, []).append(edge)
        return {part: tuple(edges) for part, edges in found.items()}

    def of(self, population: str) -> tuple[Edge, ...]:
        """The edges at a population."""
        return self.incident.get(Part("population", population), ())

    @cached_property
    def networkx(self) -> nx.MultiDiGraph[Part]:
        """The same for the algorithms of NetworkX; edges hold themselves as `edge`."""
        import networkx as nx

        graph: nx.MultiDiGraph[Part] = nx.MultiDiGraph(name=self.network.name)
        graph.add_nodes_from(self.parts)
        for edge in self.edges:
            graph.add_edge(edge.source, edge.target, edge=edge)
        return graph

    # -- reads --------------------------------------------------------------------------------

    def _reads(self) -> Iterator[Edge]:
        found: dict[tuple[Part, Part, str, str], dict[str, None]] = {}
        for flow in walk_network(self.network):
            if flow.kind == "task":  # fields of samples are data, however they are made
                continue
            target = self._target(flow)
            kind = "modulator" if target.kind == "modulator" else flow.kind
            learning = flow.owner if kind == "rule" else ""
            for source, path in self._sources(flow, target):
                found.setdefault((source, target, kind, learning), {})[path] = None
        for (source, target, kind, learning), paths in found.items():
            carries = tuple(path for path in paths if path)
            yield Edge(source, target, kind, carries, self.network.projections.get(learning))

    def _sources(self, flow: Flow, target: Part) -> Iterator[tuple[Part, str]]:
        """Parts that a flow reads. What a part reads of itself, and a synapse of its ends, is none;
        a clamp to a constant comes from the protocol."""
        projection = self.network.projections.get(flow.owner)
        known: tuple[Part, ...] = ()
        if projection is not None and target == _ends(projection)[1]:
            known = _ends(projection)
        elif flow.kind in CELL or target.kind == "modulator":
            known = (target,)
        read = [(part, ref.path) for ref in flow.sources for part in self._read(ref, flow)]
        if not read and flow.kind in ("clamp", "set") and target.kind != "protocol":
            read = [(Part("protocol", flow.owner), "")]
        yield from ((part, path) for part, path in read if part not in known)

    def _read(self, ref: Ref, flow: Flow) -> tuple[Part, ...]:
        variable = self.network.table.get(ref.path)
        if ref.path.startswith("sample.") or (variable and variable.kind is Kind.SAMPLE):
            return self._shown.get(flow.owner, self._shown[""])
        part = self._part(ref.path)
        return (part,) if part is not None else ()

    def _target(self, flow: Flow) -> Part:
        if flow.kind == "record":
            return Part("record", flow.sources[0].path)
        if flow.kind in ("readout", "metric", "loss"):
            return Part(flow.kind, flow.owner)
        if flow.owner in self.network.projections and flow.kind != "deliver":
            return Part("population", self.network.projections[flow.owner].post)
        return self._part(flow.target) or Part("protocol", flow.owner)

    def _part(self, path: str) -> Part | None:
        """The part that a variable belongs to; None of what the whole network shares."""
        if path in self._emitting:
            return Part("modulator", path)
        variable = self.network.table.get(path)
        owner = variable.owner if variable is not None else ""
        if owner in self.network.projections:
            return Part("population", self.network.projections[owner].post)
        if owner not in self.network.populations:
            return None
        inside = path.rpartition(".")[0]  # a modulator's own state stands among its population's
        return Part("modulator", inside) if inside in self._emitting else Part("population", owner)

    @cached_property
    def _shown(self) -> Mapping[str, tuple[Part, ...]]:
        """Data whose samples each protocol shows; under "" those of all protocols."""
        named: dict[str, dict[str, None]] = {name: {} for name in self.network.protocols}
        for name, protocol in self.network.protocols.items():
            for step in steps_of(protocol.body):
                if isinstance(step, Each) and step.of is not None:
                    named[name][step.of.source] = None
                elif isinstance(step, Evaluate | RunProtocol):
                    shown = named.setdefault(step.protocol, {})
                    shown.update((ref.source, None) for ref in step.args)
        parts = {name: self._data(sources) for name, sources in named.items()}
        used = dict.fromkeys(part for found in parts.values() for part in found)
        every = tuple(Part("data", name) for name in self.network.data)
        return {"": tuple(used) or every, **{name: found or every for name, found in parts.items()}}

    def _data(self, sources: Iterable[str]) -> tuple[Part, ...]:
        kinds = dict.fromkeys(self.network.data, "data")
        kinds |= dict.fromkeys(self.network.pairs, "pairs")
        return tuple(Part(kinds[name], name) for name in sources if name in kinds)


def _projections(network: Network) -> Iterator[Edge]:
    sent: dict[str, dict[str, None]] = {name: {} for name in network.projections}
    for flow in walk_network(network):
        if flow.channel is not None:
            sent[flow.channel].update((ref.path, None) for ref in flow.sources if ref.side == "pre")
    for name, projection in network.projections.items():
        yield Edge(*_ends(projection), "projection", tuple(sent[name]), projection)


def _doubled(network: Network) -> Iterator[Edge]:
    for name, pairs in network.pairs.items():
        yield Edge(Part("data", pairs.data), Part("pairs", name), "pairs", ())


def _ends(projection: Projection) -> tuple[Part, Part]:
    return Part("population", projection.pre), Part("population", projection.post)
