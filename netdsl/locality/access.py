"""What a cell or a modulator may read: its own variables, samples and shared numbers."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.dataflow.flow import FlowGraph
from netdsl.dataflow.walk import walk_host
from netdsl.diagnostics import Diagnostic, Label
from netdsl.diagnostics.span import NO_SPAN
from netdsl.ir.expr import Expr, Reduce, Ref, children
from netdsl.ir.network import Kind, Modulator, Network, Place, Projection
from netdsl.ir.protocol import SetGlobal
from netdsl.locality.reads import modulator_of


def access_errors(graph: FlowGraph) -> Iterator[Diagnostic]:
    """Reads of cells, modulators, deliveries and protocols that no channel carries (E0303, E0340,
    E0352), data in controls (E0306)."""
    for flow in graph.flows:
        owner = graph.owner(flow.target)
        modulator = modulator_of(graph.network, flow.target)
        in_cell = flow.kind in ("statement", "def") and owner in graph.network.populations
        if in_cell and modulator is None:
            for ref in flow.sources:
                if not _reached(graph, flow.target, owner, ref.path):
                    yield from _cell_read(graph, owner, ref)
    for modulator in graph.network.modulators:
        for ref, reduced in _reads(modulator.emit, False):
            yield from _modulator_read(graph, modulator, ref, reduced)
    yield from _deliveries(graph)
    yield from _assigned(graph)
    yield from _controls(graph)


def _reached(graph: FlowGraph, target: str, population: str, path: str) -> bool:
    """Whether a modulator carries a value to where a population computes `target`.

    To cells only where it is said so; to other modulators wherever it reaches.
    """
    alone = {m.home for m in graph.network.modulators if m.population is None}
    variable = graph.variable(path)
    if population in alone and path.startswith(f"{population}."):
        return variable is not None and variable.kind is Kind.MODULATOR  # a reduction of its own
    modulator = modulator_of(graph.network, path)
    if modulator is None:
        return False
    in_cell = population not in alone and target.startswith(f"{population}.")
    return population in modulator.cells if in_cell else modulator.reaches(population)


def _deliveries(graph: FlowGraph) -> Iterator[Diagnostic]:
    """Reads of deliveries that are at neither end of the synapse nor its own (E0340)."""
    for flow in graph.flows:
        if flow.channel is None:
            continue
        projection = graph.network.projections[flow.channel]
        whose = {"pre": projection.pre, "post": projection.post}
        own = ("", projection.name, projection.transpose_of)
        for ref in flow.sources:
            owner = graph.owner(ref.path)
            modulator = modulator_of(graph.network, ref.path)
            if modulator is not None and ref.side == "post" and modulator.reaches(projection.post):
                continue
            if owner not in own and whose.get(ref.side) != owner:
                yield Diagnostic(
                    "E0340",
                    f"projection `{projection.name}` delivers `{ref.path}`, which is at neither "
                    "end of its synapses",
                    ref.span or projection.span or NO_SPAN,
                    (Label(projection.span, _sees(projection)),) if projection.span else (),
                    help=_instead(projection, owner, ref.path),
                    note="not at this synapse",
                )


def _assigned(graph: FlowGraph) -> Iterator[Diagnostic]:
    """Values that a protocol carries from one population to another (E0352)."""
    alone = {m.home for m in graph.network.modulators if m.population is None}
    for flow in graph.flows:
        target = graph.owner(flow.target)
        if flow.kind not in ("clamp", "set") or target in ("", *alone):
            continue
        for ref, reduced in _reads(flow.expr, False):
            owner = graph.owner(ref.path)
            if owner not in graph.network.populations or owner == target:
                continue
            if reduced or _alike(graph.network, owner, target):  # else they do not match: E0206
                yield Diagnostic(
                    "E0352",
                    f"a protocol puts `{ref.path}` on `{target}`, where no projection carries it",
                    ref.span or flow.span or NO_SPAN,
                    help=f"send it through a projection (`{owner} -> {target}`), or declare a "
                    f"modulator that reduces it and reaches `{target}`",
                    note="value of another population",
                )


def _alike(network: Network, owner: str, target: str) -> bool:
    populations = network.populations
    return target not in populations or populations[owner].size == populations[target].size


def _sees(projection: Projection) -> str:
    return f"a synapse sees `{projection.pre}` (pre) and `{projection.post}` (post)"


def _instead(projection: Projection, owner: str, path: str) -> str:
    ends = {projection.pre: "pre", projection.post: "post"}
    if owner in ends:
        return f"write `{ends[owner]}.{path.rsplit('.', 1)[-1]}`"
    return f"send it through a projection of its own (`{owner} -> {projection.post}`)"


def _cell_read(graph: FlowGraph, population: str, ref: Ref) -> Iterator[Diagnostic]:
    owner = graph.owner(ref.path)
    # A reduction over weights is reported as a label of the rules it reaches.
    if owner in ("", population) or graph.is_synaptic(ref.path):
        return
    yield Diagnostic(
        "E0303",
        f"`{population}` reads `{ref.path}`, which no projection carries to it",
        ref.span or NO_SPAN,
        help=f"send it through a projection (`{owner} -> {population}`)",
        note="value of another population",
    )


def _reads(expr: Expr, reduced: bool) -> Iterator[tuple[Ref, bool]]:
    if isinstance(expr, Ref):
        yield expr, reduced
    for child in children(expr):
        yield from _reads(child, reduced or isinstance(expr, Reduce))


def _modulator_read(
    graph: FlowGraph, modulator: Modulator, ref: Ref, reduced: bool
) -> Iterator[Diagnostic]:
    owner = graph.owner(ref.path)
    other = modulator_of(graph.network, ref.path)
    if other is not None and other.reaches(modulator.home):
        return
    if modulator.population is None and ref.path.startswith(f"{modulator.home}."):
        return  # its own, and the reductions that are made for it
    if graph.is_synaptic(ref.path) and reduced:
        return  # labelled aggregated-weights where a rule reads the modulator
    on = f" on `{modulator.population}`" if modulator.population else ""
    message = f"modulator `{modulator.name}`{on} reads `{ref.path}`"
    at = ref.span or modulator.span or NO_SPAN
    if modulator.population is None:
        if owner in graph.network.populations and not reduced and _many(graph, ref.path):
            help = f"a global modulator reads reductions only: `sum({ref.path})`"
            yield Diagnostic("E0303", f"{message}, one value per neuron", at, help=help)
    elif owner not in ("", modulator.population):
        help = "declare a global modulator that reduces it, and read that modulator"
        yield Diagnostic("E0303", f"{message}, which is not its population's", at, help=help)


def _many(graph: FlowGraph, path: str) -> bool:
    variable = graph.variable(path)
    return variable is not None and variable.place in (Place.UNIT, Place.NEURON)


def _controls(graph: FlowGraph) -> Iterator[Diagnostic]:
    for flow in walk_host(graph.network):
        if flow.kind != "control" and not isinstance(flow.node, SetGlobal):
            continue
        for ref in flow.sources:
            if graph.owner(ref.path) or graph.is_sample_field(ref.path):
                yield Diagnostic(
                    "E0306",
                    f"`{flow.target}` is computed from `{ref.path}`: it would carry data to "
                    "every synapse as if it were constant",
                    ref.span or flow.span or NO_SPAN,
                    help="declare a modulator, whose scope the certificate shows",
                )
