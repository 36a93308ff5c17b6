"""The network graph in the DOT language: `netdsl show graph`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from netdsl.dataflow.graph import Edge, NetworkGraph, Part

if TYPE_CHECKING:
    from netdsl.ir.network import Network

SHAPES = {
    "population": "box",
    "modulator": "diamond",
    "data": "cylinder",
    "pairs": "cylinder",
    "readout": "note",
    "metric": "note",
    "loss": "note",
    "protocol": "hexagon",
}


def dot(network: Network) -> str:
    """Populations, modulators, data and readouts; projections, and dotted reads."""
    graph = NetworkGraph(network).networkx
    lines = [f"digraph {_quoted(network.name)} {{", "  rankdir=LR;"]
    lines += [_node(network, part) for part in graph if part.kind in SHAPES]
    edges: list[Edge] = [held["edge"] for *_, held in graph.edges(data=True)]
    for edge in edges:
        if edge.source.kind in SHAPES and edge.target.kind in SHAPES:
            lines.append(_edge(edge))
    return "\n".join([*lines, "}"])


def _node(network: Network, part: Part) -> str:
    label = part.name
    if part.kind == "population":
        population = network.populations[part.name]
        label = f"{part.name}\n{population.size} {population.cell}"
    return f"  {_name(part)} [label={_quoted(label)}, shape={SHAPES[part.kind]}];"


def _edge(edge: Edge) -> str:
    style = "dotted" if edge.kind != "projection" else ""
    projection = edge.projection
    if not style and projection is not None and projection.rule is None:
        style = "dashed"
    end = f", style={style}" if style else ""
    label = _quoted("\n".join(_label(edge)))
    return f"  {_name(edge.source)} -> {_name(edge.target)} [label={label}{end}];"


def _label(edge: Edge) -> Iterator[str]:
    """A projection's name, delay and rule; else what is done with which variables."""
    projection = edge.projection
    if projection is None:
        yield edge.kind if edge.kind != "statement" else "read"
        yield from edge.carries
    elif edge.kind == "projection":
        yield projection.name
        if projection.delay:
            yield f"delay {projection.delay}"
        if projection.rule is not None:
            yield projection.rule.name
    else:
        yield f"{projection.name} learns"


def _name(part: Part) -> str:
    """Populations go by their own names; a readout may be called like one."""
    return _quoted(part.name if part.kind == "population" else f"{part.kind} {part.name}")


def _quoted(text: str) -> str:
    """Text as DOT writes it between quotation marks: what the name of a file may hold."""
    shown = "".join(char if char.isprintable() or char == "\n" else " " for char in text)
    shown = shown.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + shown.replace("\n", "\\n") + '"'
