"""L0601, L0602, L0603: parts that nothing uses."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.dataflow.flow import FlowGraph
from netdsl.dataflow.rules import sections
from netdsl.diagnostics import NO_SPAN, Diagnostic
from netdsl.ir import protocol as proto
from netdsl.ir.expr import Expr, refs
from netdsl.ir.network import Kind, Network, Variable
from netdsl.ir.protocol import steps_of

WATCHED = (Kind.STATE, Kind.LET, Kind.DEF, Kind.TRACE, Kind.PARAM)


def check(network: Network) -> Iterator[Diagnostic]:
    """Unconnected populations, inputs that nothing feeds, variables that nothing reads."""
    read = set(_read_paths(network))
    read |= {path for path, variable in network.table.items() if variable.differentiated}
    fed = set(_fed_paths(network))
    outside = fed | {ref.path for expr in _other_expressions(network) for ref in refs(expr)}
    outside |= {recorder.variable for recorder in network.recorders}
    connected = {end for p in network.projections.values() for end in (p.pre, p.post)}
    for population in network.populations.values():
        if population.name not in connected and not outside & population.variables.keys():
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


def _by_cell(network: Network, kinds: tuple[Kind, ...]) -> dict[tuple[str, str], list[Variable]]:
    cells: dict[tuple[str, str], list[Variable]] = {}
    for population in network.populations.values():
        for variable in population.variables.values():
            own = f"{population.name}."
            if variable.path.startswith(own) and "." in variable.path.removeprefix(own):
                continue  # not written by the user: a surrogate's margin, a refractory counter
            if variable.kind in kinds and not variable.exposed and _written_here(network, variable):
                cells.setdefault((population.cell, variable.name), []).append(variable)
    return cells


def _written_here(network: Network, variable: Variable) -> bool:
    return variable.span is None or variable.span.source == network.source


def _read_paths(network: Network) -> Iterator[str]:
    for flow in FlowGraph(network).flows:
        yield from (ref.path for ref in flow.sources if ref.path != flow.target)
    for expr in _other_expressions(network):
        yield from (ref.path for ref in refs(expr))
    yield from (recorder.variable for recorder in network.recorders)


def _other_expressions(network: Network) -> Iterator[Expr]:
    for projection in network.projections.values():
        if projection.rule is not None:
            yield from (expr for _, expr in sections(projection.rule))
    for readout in network.readouts.values():
        yield readout.value
    for metric in network.metrics.values():
        yield metric.value
    for loss in network.losses.values():
        yield loss.value
    for protocol in network.protocols.values():
        for step in steps_of(protocol.body):
            yield from _expressions(step)


def _expressions(step: proto.Step) -> Iterator[Expr]:
    for name, value in vars(step).items():
        if name == "controls":
            yield from (expr for _, expr in value)
        elif isinstance(value, Expr):
            yield value


def _fed_paths(network: Network) -> Iterator[str]:
    for projection in network.projections.values():
        yield from (deliver.input for deliver in projection.delivers)
    for protocol in network.protocols.values():
        for step in steps_of(protocol.body):
            if isinstance(step, proto.Clamp | proto.SetState):
                yield step.target
