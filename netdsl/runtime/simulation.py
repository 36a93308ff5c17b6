"""Protocols without data: one row, drawn from the seed, and what is read of it when they end.

A protocol that runs phases and takes no samples is one presentation; in a loop of epochs or
iterations each round is one. Between two phases such a run can be stopped, saved and looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netdsl.diagnostics import DiagnosticError
from netdsl.ir.expr import Reduce, Ref, walk
from netdsl.ir.program import Key
from netdsl.ir.protocol import Each, Protocol, RunPhase, Update, reached, simulates, steps_of
from netdsl.passes.needs import needing_data
from netdsl.runtime.errors import RunFault
from netdsl.runtime.host import HostError
from netdsl.runtime.members import Found, gathered
from netdsl.runtime.metrics import MetricSum
from netdsl.streams.draws import row_key, stream_hash

if TYPE_CHECKING:
    from netdsl.ir.network import Network
    from netdsl.ir.program import Program
    from netdsl.runtime.engine import Interpreter
    from netdsl.runtime.session import Session

Array = NDArray[Any]


# ---------------------------------------------------------------- a run


def begin(interpreter: Interpreter, protocol: Protocol) -> None:
    """Where a protocol without data begins, its row does; where it goes on, all is as it was. One
    that is run by another without data goes on with the row of that."""
    if interpreter.alone or not simulates(protocol, interpreter.session.network.protocols):
        return
    interpreter.alone = True
    interpreter.batch = None
    interpreter.call = 0
    if not interpreter.training:
        interpreter.call = stream_hash(f"evaluate:{protocol.name}") >> 1
    if not interpreter.resume:
        present(interpreter)


def present(interpreter: Interpreter) -> None:
    """A row of its own: steps count from 0, draws are keyed by the seed and by how many came
    before. States stay."""
    interpreter.hooks.start_row(interpreter)
    place = interpreter.place
    number = place.earlier + interpreter.round if interpreter.training else 0
    key = row_key(interpreter.call, number, np.zeros(1, np.int64), 0, place.loops)
    interpreter.session.alone(key)
    place.loops += 1


def before_phase(interpreter: Interpreter) -> None:
    """What may come between two phases, as between two batches."""
    interpreter.hooks.poll()
    if interpreter.training:
        interpreter.hooks.before_batch(interpreter)


def after_phase(interpreter: Interpreter) -> None:
    """A phase counts as a batch does."""
    if interpreter.training:
        interpreter.place.batches += 1
    interpreter.hooks.after_phase(interpreter)


# ---------------------------------------------------------------- what is read of it


def metrics_of(session: Session, protocol: Protocol, label: str) -> list[MetricSum]:
    """The metrics that a protocol without data has under a label."""
    chosen = [m for m in session.network.metrics.values() if m.every is None]
    sums = [MetricSum(metric, session) for metric in chosen if metric.on in (None, label)]
    phases = _phases(session.network, protocol)
    return [
        total
        for total in sums
        if phases.issuperset(_named([total.metric.value])) and not _samples(session, total.reads)
    ]


def metrics(session: Session, protocol: Protocol) -> dict[str, Found]:
    """Metrics of the row that is present, by name."""
    found: dict[str, list[float]] = {}
    for _ in session.each_member():
        read = session.reader()
        for total in metrics_of(session, protocol, protocol.name):
            total.add(read)
            found.setdefault(total.metric.name, []).append(total.value())
    return {name: gathered(values, session.members) for name, values in found.items()}


def readouts(session: Session, protocol: Protocol) -> dict[str, Array]:
    """Readouts of the row that is present: numbers, or (units,); members in front."""
    phases = _phases(session.network, protocol)
    found = {}
    for readout in session.network.readouts.values():
        if not phases.issuperset(_named([readout.value])):
            continue
        try:
            compiled = session.compiler().compile(readout.value)
        except HostError:
            continue  # of the samples of a batch
        if _samples(session, compiled.reads):
            continue
        with np.errstate(all="ignore"):
            each = [np.array(compiled.call(session.reader())) for _ in session.each_member()]
        values = [a[0, 0] if a.size == 1 else a[0] if len(a) == 1 else a for a in each]
        found[readout.name] = np.stack(values) if session.members else np.asarray(values[0])
    return found


def numbers(found: Mapping[str, Array], members: int) -> dict[str, Found]:
    """Readouts as one number each: of a population the mean over its units."""
    if members:
        return {name: a.reshape(members, -1).mean(axis=1) for name, a in found.items()}
    return {name: float(np.mean(array)) for name, array in found.items()}


def _phases(network: Network, protocol: Protocol) -> set[str]:
    steps = reached(protocol, network.protocols)
    return {step.name for step in steps if isinstance(step, RunPhase)}


def _named(exprs: Iterable[Any]) -> set[str]:
    """The phases that expressions read."""
    nodes = [node for expr in exprs for node in walk(expr)]
    found = {n.phase for n in nodes if isinstance(n, Ref)}
    found |= {n.over_phase for n in nodes if isinstance(n, Reduce)}
    return {name for name in found if name is not None}


def _samples(session: Session, reads: Iterable[Key]) -> bool:
    return any(session.field_of(key.of) for key in reads)


# ---------------------------------------------------------------- what cannot run so


def require_no_data(network: Network, program: Program, protocol: Protocol) -> None:
    """Raises DiagnosticError E0535 where a protocol that is to run needs samples it has not."""
    called = {protocol.name} | {
        step.protocol for step in reached(protocol, network.protocols) if hasattr(step, "protocol")
    }
    wrong = [fault for name, fault in needing_data(network, program) if name in called]
    if wrong:
        raise DiagnosticError(*wrong, sources={network.source: network.text})


def refuse_learning(network: Network, protocol: Protocol) -> None:
    """Raises RunFault E0523 where the evaluation of a protocol without data would learn."""
    if not simulates(protocol, network.protocols):
        return
    for step in reached(protocol, network.protocols):
        if isinstance(step, Update) or (isinstance(step, RunPhase) and step.learning):
            raise RunFault(
                "E0523",
                f"protocol `{protocol.name}` learns, and an evaluation leaves what was learned",
                "`netdsl run` runs it; evaluate a protocol without learning phases",
            )


def refuse_amounts(protocol: Protocol, limit: int | None, epochs: int | None) -> None:
    """Raises RunFault E0743 where a run without data is told how many samples or epochs."""
    loops = [step for step in steps_of(protocol.body) if isinstance(step, Each)]
    for given, name, what in ((limit, "--limit", "samples"), (epochs, "--epochs", "epochs")):
        if given is not None and not (what == "epochs" and loops):
            raise RunFault(
                "E0743",
                f"protocol `{protocol.name}` has no {what}, and `{name} {given}` is asked for",
                f"leave `{name}` out; how long a phase is can be set by a parameter",
            )
