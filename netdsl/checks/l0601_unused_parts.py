"""L0601, L0602, L0603: parts that nothing uses."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.dataflow.graph import NetworkGraph
from netdsl.dataflow.walk import CELL, Flow, walk_network
from netdsl.diagnostics import NO_SPAN, Diagnostic
from netdsl.ir.network import Kind, Network, Variable

_FEEDS = ("deliver", "clamp", "set")
_INSIDE = CELL | {"modulator"}  # what a population and its modulators do by themselves
WATCHED = (Kind.STATE, Kind.LET, Kind.DEF, Kind.TRACE, Kind.PARAM)


def check(network: Network) -> Iterator[Diagnostic]:
    """Unconnected populations, inputs that nothing feeds, variables that nothing reads."""
    flows, graph = walk_network(network), NetworkGraph(network)
    read = set(_read_paths(flows))
    read |= {path for path, variable in network.table.items() if variable.differentiated}
    fed = {flow.target for flow in flows if flow.kind in _FEEDS}
    alone = {m.home for m in network.modulators if m.population is None}
    for population in network.populations.values():
        inside = all(edge.kind in _INSIDE for edge in graph.of(population.name))
        if inside and population.name not in alone:
            message = f"no projection, clamp or readout touches population `{population.name}`"
            yield Diagnostic("L0601", message, population.span or NO_SPAN, severity="lint")
    yield from _unfed(network, read, fed)
    yield from _unread(network, read)


def _unfed(network: Network, read: set[str], fed: set[str]) -> Iterator[Diagnostic]:
    # Cells are shared: an input counts as fed if any population of that cell has it fed.
    for (cell, name), variables in _by_cell(network, (Kind.INPUT,)).items():
        paths = {variable.path for variable in variables}
        if paths & read and not paths & fed:
            message = f"nothing feeds `{name}` of `{cell}`: it is always 0"
            yield Diagnostic("L0602", message, variables[0].span or NO_SPAN, severity="lint")


def _unread(network: Network, read: set[str]) -> Iterator[Diagnostic]:
    # A cell's variable counts as read if any population of that cell has it read.
    cells = _by_cell(network, WATCHED)
    for (cell, name), variables in cells.items():
        if not any(variable.path in read for variable in variables):
            message = f"`{name}` of `{cell}` is never read"
            yield Diagnostic("L0603", message, variables[0].span or NO_SPAN, severity="lint")
    # A rule's variable counts as read if any projection that learns by it reads it.
    for (rule, name), variables in _by_rule(network).items():
        if not any(variable.path in read for variable in variables):
            message = f"`{name}` of rule `{rule}` is never read"
            yield Diagnostic("L0603", message, variables[0].span or NO_SPAN, severity="lint")


def _by_rule(network: Network) -> dict[tuple[str, str], list[Variable]]:
    rules: dict[tuple[str, str], list[Variable]] = {}
    for projection in network.projections.values():
        rule = projection.rule
        for variable in rule.variables.values() if rule is not None else ():
            if rule is not None and _written_here(network, variable):
                rules.setdefault((rule.name, variable.name), []).append(variable)
    return rules


def _by_cell(network: Network, kinds: tuple[Kind, ...]) -> dict[tuple[str, str], list[Variable]]:
    cells: dict[tuple[str, str], list[Variable]] = {}
    for population in network.populations.values():
        for variable in population.variables.values():
            own = f"{population.name}."
            if variable.path.startswith(own) and "." in variable.path.removeprefix(own):
                continue  # not written by the user: a surrogate's margin, a refractory counter
            if variable.path == f"{own}type" and population.types:
                continue  # stands in the population; parts of it are ends of projections
            if variable.kind in kinds and not variable.exposed and _written_here(network, variable):
                cells.setdefault((population.cell, _declared(variable)), []).append(variable)
    return cells


def _declared(variable: Variable) -> str:
    """The name that was declared: all components of a vector have one."""
    return variable.name.partition("[")[0]


def _written_here(network: Network, variable: Variable) -> bool:
    return variable.span is None or variable.span.source == network.source


def _read_paths(flows: tuple[Flow, ...]) -> Iterator[str]:
    """What is read anywhere but to make its own next value."""
    for flow in flows:
        for ref in flow.sources:
            if flow.kind not in CELL | {"rule"} or ref.path != flow.target:
                yield ref.path
