"""E0540, E0541, E0542: a `record` that would keep nothing, or of units that are not there."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.diagnostics import NO_SPAN, Diagnostic, did_you_mean
from netdsl.diagnostics.span import Span
from netdsl.ir import protocol as proto
from netdsl.ir.network import Network, Place
from netdsl.ir.protocol import Recorder, records, simulates, steps_of

TEST = "test"  # the protocol and the label of the evaluation that ends a run


def check(network: Network) -> Iterator[Diagnostic]:
    """Recorders keep values in evaluations and protocols that exist and run a phase."""
    evaluated = evaluations(network)
    for protocol in network.protocols.values():
        if simulates(protocol, network.protocols):  # reported under its own name
            evaluated.setdefault(protocol.name, set()).add(protocol.name)
    for metric in network.metrics.values():
        if metric.on is not None and metric.on not in evaluated:
            yield _unknown(metric.on, f"metric `{metric.name}`", metric.span, evaluated)
    for recorder in network.recorders:
        yield from _recorder(network, recorder, evaluated)


def _recorder(
    network: Network, recorder: Recorder, evaluated: dict[str, set[str]]
) -> Iterator[Diagnostic]:
    name, at = f"`record {recorder.variable}`", recorder.span or NO_SPAN
    yield from _units(network, recorder, name, at)
    held = network.protocols
    if recorder.on is not None and recorder.on not in evaluated:
        yield _unknown(recorder.on, name, recorder.span, evaluated)
    elif recorder.within is not None and recorder.within not in held:
        help = did_you_mean(recorder.within, held) or f"protocols are: {', '.join(held)}"
        message = f"{name} is for a protocol `{recorder.within}`, and there is none"
        yield Diagnostic("E0541", message, at, help=help)
    elif not any(_takes(network, recorder, p) for p in _reached(network, recorder, evaluated)):
        phase = "a phase" if recorder.during is None else f"phase `{recorder.during}`"
        named = recorder.on or recorder.within
        where = f"`{named}` never" if named else "no evaluation or protocol without data"
        help = (
            "evaluations are recorded: add `protocol test(split) { … phase … }`; training is where"
            " it is named, as in `record … in train limit 10 samples`"
        )
        yield Diagnostic("E0542", f"{name} keeps nothing: {where} runs {phase}", at, help=help)


def _units(network: Network, recorder: Recorder, name: str, at: Span) -> Iterator[Diagnostic]:
    """`of [0, 50]` is of what has units, and of units that are there."""
    variable = network.table.get(recorder.variable)
    if variable is None or not recorder.units:
        return
    size = network.populations[variable.owner].size if variable.owner in network.populations else 0
    if variable.place not in (Place.UNIT, Place.NEURON) or not size:
        message = f"{name}: this has no units, which `of [{recorder.units[0]}]` names"
        yield Diagnostic("E0540", message, at, help="leave `of […]` out")
    elif max(recorder.units) >= size:
        message = f"{name}: there is no unit {max(recorder.units)}, units go from 0 to {size - 1}"
        yield Diagnostic("E0540", message, at, help="name units that are there")


def _reached(network: Network, recorder: Recorder, evaluated: dict[str, set[str]]) -> Iterator[str]:
    """The protocols at whose phases a recorder may take values."""
    if recorder.on is not None:
        yield from evaluated[recorder.on]
        return
    for found in evaluated.values():
        yield from found
    if recorder.within is not None:
        yield recorder.within


def _takes(network: Network, recorder: Recorder, name: str) -> bool:
    protocol = network.protocols.get(name)
    return protocol is not None and any(
        isinstance(step, proto.RunPhase) and records(recorder, step)
        for step in proto.reached(protocol, network.protocols)
    )


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
