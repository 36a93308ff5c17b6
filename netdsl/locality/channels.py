"""Notes of a certificate: the channels behind what a rule reads, and what modulators aggregate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netdsl.ir.expr import Reduce, refs, span_of, walk
from netdsl.ir.network import Kind, Modulator, Projection
from netdsl.locality.flow import FlowGraph
from netdsl.locality.provenance import Provenance, equal_starts
from netdsl.locality.reads import Read, line_of, modulator_of


def channel_notes(
    graph: FlowGraph, provenance: Provenance, projection: Projection, reads: Iterable[Read]
) -> Iterator[str]:
    """What arrives in each post variable, what each modulator aggregates, equal starts."""
    for read in reads:
        modulator = modulator_of(graph.network, read.ref.path)
        if modulator is not None:
            yield from _modulator_notes(graph, modulator)
        elif read.ref.side == "post":
            yield from _arrival_note(graph, provenance, projection, read)
    for copy, source in equal_starts(graph.network):
        if projection.name in (copy.name, graph.owner(source.path)):
            yield (
                f"`{copy.name}` starts with the weights of `{source.path}` "
                f"({line_of(source.span)}): an equal start, not a tie"
            )


def _arrival_note(
    graph: FlowGraph, provenance: Provenance, projection: Projection, read: Read
) -> Iterator[str]:
    names = [name for name in provenance.channels(read.ref.path) if name != projection.name]
    if names:
        shown = ", ".join(_channel(graph.network.projections[name]) for name in names)
        yield f"`{read.name.split('@')[0]}` carries what arrives through {shown}"


def _channel(projection: Projection) -> str:
    fixed = "fixed, " if projection.fixed else ""
    return f"`{projection.name}` ({fixed}from `{projection.pre}`)"


def _modulator_notes(graph: FlowGraph, modulator: Modulator) -> Iterator[str]:
    name = f"modulator `{modulator.name}` (scope {modulator.scope})"
    expressions = (modulator.emit, *graph.own_expressions(modulator.variable))
    for node in dict.fromkeys(n for e in expressions for n in walk(e)):
        if isinstance(node, Reduce):
            of = ", ".join(f"`{path}`" for path in dict.fromkeys(r.path for r in refs(node.body)))
            at = line_of(span_of(node) or modulator.span)
            yield f"{name} aggregates: {node.kind} over {node.axis} of {of} ({at})"
    fields = {
        ref.path
        for e in expressions
        for ref in refs(e)
        if graph.is_sample_field(ref.path) or _is_count(graph, ref.path)
    }
    if fields:
        yield f"{name} reads {', '.join(f'`{field}`' for field in sorted(fields))}"


def _is_count(graph: FlowGraph, path: str) -> bool:
    variable = graph.variable(path)
    return path == "batch.rows" or (
        variable is not None and variable.kind is Kind.COUNTER and path.startswith("batch.")
    )
