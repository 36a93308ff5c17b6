"""E0552: what is made of the slots of a replay is read where the rows are other samples."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.checks.e0540_record import evaluations
from netdsl.dataflow.slots import ANY, lacking, made_of_slots, of_modulator
from netdsl.dataflow.walk import Flow, walk_host, walk_network, walk_rule
from netdsl.diagnostics import NO_SPAN, Diagnostic, Label
from netdsl.diagnostics.span import Span
from netdsl.ir.network import Network
from netdsl.ir.protocol import Metric, RunPhase, Update, steps_of

NEWEST_FIELD = "sample.newest"
_HELP = "push a memory in the loop around it: `push past; when past.full { … }`"


def check(network: Network) -> Iterator[Diagnostic]:
    """Rules, cells and what the host reads."""
    if not made_of_slots(network) and NEWEST_FIELD not in network.variables:
        return
    for protocol in network.protocols.values():
        for step in steps_of(protocol.body):
            if isinstance(step, RunPhase):
                yield from _learning(network, step, step.learning, f"phase `{step.name}`")
                yield from _cells(network, step)
            elif isinstance(step, Update):
                yield from _learning(network, step, step.projections, "this update")
    yield from _host(network)


def _learning(
    network: Network, step: RunPhase | Update, names: frozenset[str] | tuple[str, ...], what: str
) -> Iterator[Diagnostic]:
    for name in sorted(names):
        rule = network.projections[name].rule
        for flow in walk_rule(rule) if rule is not None else ():
            for ref in flow.sources:
                if missing := _missing(network, ref.path, step.rows):
                    yield _found(
                        f"`{name}` learns from {missing}, and {what} has none",
                        step.span,
                        ref.span,
                        f"read by rule `{rule.name if rule else name}`",
                    )
                    return


def _cells(network: Network, step: RunPhase) -> Iterator[Diagnostic]:
    """What a cell or a delivery computes is computed in every phase."""
    for flow in walk_network(network):
        if flow.kind not in ("statement", "def", "deliver") or _modulates(network, flow):
            continue
        for ref in flow.sources:
            if missing := _missing(network, ref.path, step.rows):
                message = f"`{flow.owner}` reads {missing}, and phase `{step.name}` has none"
                yield _found(message, step.span, ref.span or flow.span, "read here")
                return


def _modulates(network: Network, flow: Flow) -> bool:
    variable = network.table.get(flow.target)
    return variable is not None and of_modulator(network, variable)


def _host(network: Network) -> Iterator[Diagnostic]:
    """Readouts, metrics and recordings are of evaluations; metrics with a clock of training."""
    reached = {name for found in evaluations(network).values() for name in found}
    rows = {
        step.rows
        for name in reached & set(network.protocols)
        for step in steps_of(network.protocols[name].body)
        if isinstance(step, RunPhase)
    }
    for flow in walk_host(network):
        clocked = isinstance(flow.node, Metric) and flow.node.every is not None
        if clocked or flow.kind not in ("metric", "readout", "record"):
            continue
        for ref in flow.sources:
            if all(lacking(network, ref.path, found) for found in rows or {""}):
                slots = _slots(network, ref.path)
                message = f"`{ref.path}` is made of {slots}, and no evaluation has any"
                yield _found(message, ref.span or flow.span, None, "")


def _missing(network: Network, path: str, rows: str) -> str:
    """What there is none of where a variable is read, "" where nothing is missing."""
    if path == NEWEST_FIELD:
        return "" if rows else "the newest slot"
    return _slots(network, path) if lacking(network, path, rows) else ""


def _slots(network: Network, path: str) -> str:
    made = made_of_slots(network).get(path, frozenset()) - {ANY, "batch"}
    names = ", ".join(f"`{name}`" for name in sorted(made))
    return f"the slots of {names}" if names else "the newest slot"


def _found(message: str, at: Span | None, read: Span | None, note: str) -> Diagnostic:
    labels = (Label(read, note),) if read is not None else ()
    help = _HELP if read is not None else "give a metric a clock: `every 100 batches`"
    return Diagnostic("E0552", message, at or NO_SPAN, labels, help=help)
