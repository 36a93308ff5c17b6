"""E0551: what is made of the slots of a window is read where it may not have them all.

Of what runs behind a `push` that is told where protocols are built, whatever it reads.
"""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.dataflow.slots import made_of_slots, of_modulator
from netdsl.dataflow.walk import Flow, walk_network, walk_rule
from netdsl.diagnostics import NO_SPAN, Diagnostic, Label
from netdsl.ir.network import Network
from netdsl.ir.protocol import (
    Choose,
    Each,
    Forget,
    Repeat,
    RunPhase,
    Step,
    Update,
    known_full,
    steps_of,
)

COMPUTED = ("statement", "def", "deliver")


def check(network: Network) -> Iterator[Diagnostic]:
    """Rules of learning phases and of updates, and cells in every phase."""
    windows = frozenset(n for n, memory in network.memories.items() if memory.kind == "window")
    for protocol in network.protocols.values() if windows else ():
        for step, full in _running(protocol.body, frozenset()):
            yield from _reading(network, step, windows - full)


def _running(
    body: tuple[Step, ...], full: frozenset[str]
) -> Iterator[tuple[RunPhase | Update, frozenset[str]]]:
    """What runs, with the memories that are full there."""
    for step in body:
        if isinstance(step, Forget):
            full -= {step.memory}
        elif isinstance(step, RunPhase | Update):
            yield step, full
        elif isinstance(step, Choose):
            yield from _running(step.then, full | known_full(step.condition))
            yield from _running(step.otherwise, full)
        elif isinstance(step, Each | Repeat):
            emptied = {s.memory for s in steps_of(step.body) if isinstance(s, Forget)}
            yield from _running(step.body, full - emptied)


def _reading(
    network: Network, step: RunPhase | Update, lacking: frozenset[str]
) -> Iterator[Diagnostic]:
    """The first read of each rule, and the first of cells."""
    made = made_of_slots(network)
    phase = isinstance(step, RunPhase)
    what = f"phase `{step.name}`" if isinstance(step, RunPhase) else "this update"
    learning = sorted(step.learning) if isinstance(step, RunPhase) else step.projections
    rules = {name: network.projections[name].rule for name in learning}
    readers = [(f"`{name}` learns", tuple(walk_rule(r))) for name, r in rules.items() if r]
    if phase:
        readers.append(("a cell computes", tuple(_computed(network))))
    for reader, flows in readers:
        for ref in (ref for flow in flows for ref in flow.sources):
            missing = sorted(made.get(ref.path, frozenset()) & lacking)
            if missing:
                name = missing[0]
                yield Diagnostic(
                    "E0551",
                    f"{reader} from the slots of `{name}`, and {what} may run before it is full",
                    step.span or NO_SPAN,
                    (Label(ref.span, "read here"),) if ref.span is not None else (),
                    help=f"push into it; what needs all slots stands in `when {name}.full {{ … }}`",
                )
                break


def _computed(network: Network) -> Iterator[Flow]:
    """What cells and deliveries compute, modulators apart."""
    for flow in walk_network(network):
        variable = network.table.get(flow.target)
        if flow.kind in COMPUTED and not (variable is not None and of_modulator(network, variable)):
            yield flow
