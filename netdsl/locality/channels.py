"""Notes of a certificate: the channels behind what a rule reads, and what modulators aggregate."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netdsl.dataflow.flow import FlowGraph
from netdsl.ir.expr import Reduce, refs, span_of, walk
from netdsl.ir.network import Kind, Modulator, Projection
from netdsl.locality.gathering import gathered
from netdsl.locality.provenance import Provenance, same_arrays
from netdsl.locality.reads import Read, line_of, modulator_of
from netdsl.locality.received import given_by_data


def channel_notes(
    graph: FlowGraph, provenance: Provenance, projection: Projection, reads: Iterable[Read]
) -> Iterator[str]:
    """What arrives in each post variable, what each modulator aggregates, equal starts."""
    arriving: dict[tuple[str, ...], dict[str, None]] = {}
    for read in reads:
        modulator = modulator_of(graph.network, read.ref.path)
        if modulator is not None:
            yield from _modulator_notes(graph, modulator)
        elif read.ref.side == "post":
            channels = provenance.channels(read.ref.path)
            others = tuple(name for name in channels if name != projection.name)
            for field, at in given_by_data(graph, read.ref.path):
                name = read.name.split("@")[0]
                yield f"behind `{name}`: `{field}`, given by data ({line_of(at)})"
            arriving.setdefault(others, {})[f"`{read.name.split('@')[0]}`"] = None
    for others, names in arriving.items():
        if others:
            shown = ", ".join(_channel(graph.network.projections[name]) for name in others)
            yield f"behind {', '.join(gathered(names))}: what arrives through {shown}"
    yield from _equal_starts(graph, provenance, projection)
    yield from _same_arrays(graph, projection)


def _equal_starts(
    graph: FlowGraph, provenance: Provenance, projection: Projection
) -> Iterator[str]:
    for copy, source in provenance.equal_starts:
        original = graph.network.projections.get(graph.owner(source.path))
        learned = copy.rule is not None or (original is not None and original.rule is not None)
        if learned and projection in (copy, original):
            yield (
                f"`{copy.name}` starts with the weights of `{source.path}` "
                f"({line_of(source.span)}): an equal start, not a tie"
            )


def _same_arrays(graph: FlowGraph, projection: Projection) -> Iterator[str]:
    for one, other, array in same_arrays(graph.network):
        learned = one.rule is not None or other.rule is not None
        if learned and projection in (one, other):
            yield (
                f"`{one.name}` and `{other.name}` start with the same array `{array}`: an equal "
                "start, not a tie"
            )


def _channel(projection: Projection) -> str:
    fixed = "fixed, " if projection.fixed else ""
    if projection.mask_of is not None:
        fixed = f"which synapses `{projection.mask_of}` has, backwards, "
    return f"`{projection.name}` ({fixed}from `{projection.pre}`)"


def _modulator_notes(graph: FlowGraph, modulator: Modulator) -> Iterator[str]:
    name = f"modulator `{modulator.name}` (scope {modulator.scope})"
    through = frozenset({Kind.LET, Kind.DEF, Kind.MODULATOR})
    expressions = list(dict.fromkeys(graph.own_expressions(modulator.variable, through)))
    if modulator.population is None:  # its states are numbers already: what they are made of
        home = graph.network.populations.get(modulator.home)
        for path in home.variables if home is not None else ():
            expressions += graph.own_expressions(path, through)
            set_to = (f for f in graph.into.get(path, ()) if f.kind in ("clamp", "set"))
            expressions += [flow.expr for flow in set_to]
    for node in dict.fromkeys(n for e in expressions for n in walk(e)):
        if isinstance(node, Reduce) and not _alone(graph, node):
            paths = dict.fromkeys(r.path for r in refs(node.body))
            asked = [path for path in paths if path.endswith(".type")]
            of = ", ".join(f"`{path}`" for path in paths if path not in asked or len(paths) == 1)
            axis = _axis(node)
            over = f"{axis}, by type," if asked and len(paths) > 1 else axis
            at = line_of(span_of(node) or modulator.span)
            yield f"{name} aggregates: {node.kind} over {over} of {of} ({at})"
    fields = {
        ref.path
        for e in expressions
        for ref in refs(e)
        if graph.is_sample_field(ref.path) or _is_count(graph, ref.path)
    }
    if fields:
        yield f"{name} reads {', '.join(f'`{field}`' for field in sorted(fields))}"


def _axis(node: Reduce) -> str:
    """What is reduced over, in words."""
    if node.over_slots is None:
        return node.axis
    memory = node.over_slots[0]
    return "the rows" if memory == "batch" else f"the slots of `{memory}`"


def _alone(graph: FlowGraph, node: Reduce) -> bool:
    """Whether this is the one number of a modulator that is on no population."""
    alone = {m.home for m in graph.network.modulators if m.population is None}
    return all(graph.owner(ref.path) in alone for ref in refs(node.body))


def _is_count(graph: FlowGraph, path: str) -> bool:
    variable = graph.variable(path)
    return path == "batch.rows" or (
        variable is not None and variable.kind is Kind.COUNTER and path.startswith("batch.")
    )
