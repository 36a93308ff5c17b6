"""L0701: an evaluation whose batches begin where the batch before ended."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.diagnostics import NO_SPAN, Diagnostic
from netdsl.ir import protocol as proto
from netdsl.ir.network import Kind, Network, Place
from netdsl.ir.protocol import steps_of

_CARRIED = (Kind.STATE, Kind.SPIKE, Kind.TRACE)


def check(network: Network) -> Iterator[Diagnostic]:
    """Every `each batch` of an evaluated protocol resets what its phases would carry over."""
    owners = {
        variable.owner
        for variable in network.table.values()
        if variable.kind in _CARRIED and variable.place in (Place.ROW, Place.UNIT)
    }
    for name in _evaluated(network):
        for loop in steps_of(network.protocols[name].body):
            if not isinstance(loop, proto.Each) or loop.of is None:
                continue
            if _carries(loop.body, set(owners)):
                yield Diagnostic(
                    "L0701",
                    f"no `reset` before the phases of `each {loop.kind}`: in evaluations by"
                    f" `{name}` a batch begins where the one before it ended, so what is found"
                    " depends on the size of batches",
                    loop.span or NO_SPAN,
                    help="begin the loop with `reset`",
                    severity="lint",
                )


def _evaluated(network: Network) -> list[str]:
    """Protocols that evaluations start from a reset; a run ends with one of `test`."""
    names = {"test": None} if "test" in network.protocols else {}
    for protocol in network.protocols.values():
        for step in steps_of(protocol.body):
            if isinstance(step, proto.Evaluate) and not step.from_present:
                names[step.protocol] = None
    return [name for name in names if name in network.protocols]


def _carries(steps: tuple[proto.Step, ...], owners: set[str]) -> bool:
    """Whether a phase runs before all `owners` were reset; those that were are taken out."""
    for step in steps:
        if isinstance(step, proto.Reset):
            whole = not step.targets
            owners -= {o for o in owners if whole or {o, o.split(".")[0]} & set(step.targets)}
        elif isinstance(step, proto.RunPhase):
            if owners:
                return True
        elif isinstance(step, proto.Choose):
            branches = [set(owners), set(owners)]
            if _carries(step.then, branches[0]) or _carries(step.otherwise, branches[1]):
                return True
            owners &= branches[0] | branches[1]
        elif isinstance(step, proto.Repeat) and _carries(step.body, owners):
            return True
    return False
