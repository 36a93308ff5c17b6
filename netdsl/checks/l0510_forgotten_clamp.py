"""L0510: a source that shows nothing in a protocol, because no clamp binds it there."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.dataflow.flow import value_flows
from netdsl.diagnostics import NO_SPAN, Diagnostic, Label
from netdsl.ir import protocol as proto
from netdsl.ir.expr import Const, Expr, refs
from netdsl.ir.network import Kind, Network, Variable
from netdsl.ir.protocol import Protocol, steps_of

Bindings = list[proto.Clamp | proto.SetState]
# What a network is taught with, and need not be shown when it is tested.
_TEACHING = frozenset({"sample.label", "sample.shown_label", "sample.positive"})


def check(network: Network) -> Iterator[Diagnostic]:
    """Sources of every protocol that runs phases."""
    flows = value_flows(network)
    read = {ref.path for flow in flows for ref in flow.sources}
    moved = {flow.target for flow in flows if flow.kind in ("statement", "modulator")}
    fed = {flow.target for flow in flows if flow.channel is not None}
    sending = {projection.pre for projection in network.projections.values()}
    sources = [
        variable
        for population in network.populations.values()
        if population.name in sending and not fed & population.variables.keys()
        for variable in population.variables.values()
        if variable.path in read and _open(variable, moved)
    ]
    bound = {name: _bindings(protocol) for name, protocol in network.protocols.items()}
    for variable in sources:
        others = [b for steps in bound.values() for b in steps if b.target == variable.path]
        for name, protocol in network.protocols.items():
            phases = [s for s in steps_of(protocol.body) if isinstance(s, proto.RunPhase)]
            here = any(step.target == variable.path for step in bound[name])
            if phases and not here and _matters(protocol, others):
                yield _lint(variable, protocol, phases[0], others)


def _lint(
    variable: Variable, protocol: Protocol, phase: proto.RunPhase, others: Bindings
) -> Diagnostic:
    elsewhere = others[0].span if others else None
    labels = (Label(elsewhere, "it is bound here"),) if elsewhere is not None else ()
    return Diagnostic(
        "L0510",
        f"nothing binds `{variable.path}` in protocol `{protocol.name}`: it is 0 in all its phases",
        phase.span or protocol.span or NO_SPAN,
        labels,
        f"clamp it before the phase, as in `clamp {variable.path} = sample.image`",
        "lint",
    )


def _matters(protocol: Protocol, others: Bindings) -> bool:
    """Labels need not be shown in a test."""
    learns = any(
        isinstance(step, proto.Update) or (isinstance(step, proto.RunPhase) and step.learning)
        for step in steps_of(protocol.body)
    )
    return learns or not others or any(_shows(step.value) for step in others)


def _shows(value: Expr) -> bool:
    return bool({ref.path for ref in refs(value)} - _TEACHING)


def _bindings(protocol: Protocol) -> Bindings:
    steps = steps_of(protocol.body)
    return [step for step in steps if isinstance(step, proto.Clamp | proto.SetState)]


def _open(variable: Variable, moved: set[str]) -> bool:
    """Can only a protocol make anything of it? Inputs, and states that start at 0 and stay so."""
    if variable.kind is Kind.INPUT:
        return True
    zero = variable.init is None or variable.init == Const(0)
    return variable.kind is Kind.STATE and zero and variable.path not in moved
