"""E0540, E0541, E0542: a `record` that would keep nothing, or not what it says."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.diagnostics import NO_SPAN, Diagnostic, did_you_mean
from netdsl.diagnostics.span import Span
from netdsl.ir import protocol as proto
from netdsl.ir.network import Network, Place
from netdsl.ir.protocol import Recorder, simulates, steps_of

TEST = "test"  # the protocol and the label of the evaluation that ends a run


def check(network: Network) -> Iterator[Diagnostic]:
    """Recorders keep values of samples, in evaluations that exist and run a phase."""
    evaluated = evaluations(network)
    alone = {p.name for p in network.protocols.values() if simulates(p, network.protocols)}
    for metric in network.metrics.values():
        if metric.on is not None and metric.on not in (*evaluated, *alone):
            known = {**evaluated, **{name: {name} for name in sorted(alone)}}
            yield _unknown(metric.on, f"metric `{metric.name}`", metric.span, known)
    for recorder in network.recorders:
        yield from _recorder(network, recorder, evaluated)


def _recorder(
    network: Network, recorder: Recorder, evaluated: dict[str, set[str]]
) -> Iterator[Diagnostic]:
    variable = network.table.get(recorder.variable)
    name, at = f"`record {recorder.variable}`", recorder.span or NO_SPAN
    if variable is not None and variable.place not in (Place.ROW, Place.UNIT):
        help = "record a variable of a cell; `netdsl run --out` keeps weights and parameters"
        message = f"{name}: samples share it, and `record` keeps values of samples"
        yield Diagnostic("E0540", message, at, help=help)
    elif recorder.on is not None and recorder.on not in evaluated:
        yield _unknown(recorder.on, name, recorder.span, evaluated)
    else:
        chosen = evaluated if recorder.on is None else {recorder.on: evaluated[recorder.on]}
        if not any(_runs_a_phase(network, p) for reached in chosen.values() for p in reached):
            help = "evaluations are recorded: add `protocol test(split) { … phase … }`"
            message = f"{name} keeps nothing: no evaluation runs a phase"
            yield Diagnostic("E0542", message, at, help=help)


def _unknown(
    label: str, what: str, span: Span | None, evaluated: dict[str, set[str]]
) -> Diagnostic:
    known = ", ".join(f"`{name}`" for name in evaluated) or "none"
    help = did_you_mean(label, evaluated) or f"evaluations are called: {known}"
    return Diagnostic(
        "E0541", f"{what} is for an evaluation `{label}`, and none is called so",
        span or NO_SPAN, help=help,
    )  # fmt: skip


def evaluations(network: Network) -> dict[str, set[str]]:
    """Labels of all evaluations with the protocols that they run: those of `evaluate` statements,
    the test that ends a run, and what `netdsl eval --split` calls after the split."""
    found: dict[str, set[str]] = {}
    for protocol in network.protocols.values():
        for step in steps_of(protocol.body):
            if isinstance(step, proto.Evaluate):
                found.setdefault(step.label, set()).add(step.protocol)
    if TEST in network.protocols:
        splits = {name for data in network.data.values() for name in data.splits} - {"train"}
        for label in (TEST, *sorted(splits)):
            found.setdefault(label, set()).add(TEST)
    return found


def _runs_a_phase(network: Network, name: str) -> bool:
    protocol = network.protocols.get(name)
    return protocol is not None and any(
        isinstance(step, proto.RunPhase) for step in proto.reached(protocol, network.protocols)
    )
