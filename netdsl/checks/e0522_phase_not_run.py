"""E0522: a value at the end of a phase is read where that phase has not run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from netdsl.dataflow.walk import walk_network, walk_rule
from netdsl.diagnostics import NO_SPAN, Diagnostic, Label
from netdsl.diagnostics.span import Span
from netdsl.ir import protocol as proto
from netdsl.ir.expr import Expr, Reduce, Ref, span_of, walk
from netdsl.ir.network import Network, Rule
from netdsl.ir.protocol import steps_of


def check(network: Network) -> Iterator[Diagnostic]:
    """Phases that exist nowhere, and rules that are applied before a phase that they read."""
    names = {
        step.name
        for protocol in network.protocols.values()
        for step in steps_of(protocol.body)
        if isinstance(step, proto.RunPhase)
    }
    for flow in walk_network(network):
        for name, span in _phases(flow.expr):
            if name not in names:
                yield _missing(name, span, names)
    for protocol in network.protocols.values():
        yield from _walk(network, protocol.body, frozenset(), names)[1]


def _missing(name: str, span: Span | None, names: set[str]) -> Diagnostic:
    known = ", ".join(f"`{known}`" for known in sorted(names)) or "none"
    message = f"no protocol runs a phase `{name}`"
    return Diagnostic("E0522", message, span or NO_SPAN, help=f"phases that run: {known}")


def _phases(expr: Expr) -> Iterator[tuple[str, Span | None]]:
    for node in walk(expr):
        if isinstance(node, Ref):
            name = node.phase
            if name is not None:
                yield name, node.span
        elif isinstance(node, Reduce) and node.over_phase is not None:
            yield node.over_phase, span_of(node)


def _walk(
    network: Network, body: Iterable[proto.Step], ran: frozenset[str], names: set[str]
) -> tuple[frozenset[str], list[Diagnostic]]:
    """Phases that have run since the last reset at the end of `body`, and findings in it."""
    found: list[Diagnostic] = []
    for step in body:
        if isinstance(step, proto.Reset) and not step.targets:
            ran = frozenset()
        elif isinstance(step, proto.RunPhase):
            for name in sorted(step.learning):
                found += _applied(network, name, "step", step.span, ran, names)
            ran |= {step.name}
        elif isinstance(step, proto.Update):
            for name in step.projections:
                found += _applied(network, name, "update", step.span, ran, names)
        elif isinstance(step, proto.Each | proto.Repeat):
            # What ran before a loop over samples was of others, or of an earlier pass.
            before = ran if isinstance(step, proto.Repeat) else frozenset()
            ran, inner = _walk(network, step.body, before, names)
            found += inner
        elif isinstance(step, proto.RunProtocol):
            # What it lacks is reported where it stands by itself.
            ran, _ = _walk(network, network.protocols[step.protocol].body, ran, names)
        elif isinstance(step, proto.Choose):
            first, inner = _walk(network, step.then, ran, names)
            second, other = _walk(network, step.otherwise, ran, names)
            ran, found = first & second, [*found, *inner, *other]
    return ran, found


def _applied(
    network: Network,
    projection: str,
    clock: str,
    at: Span | None,
    ran: frozenset[str],
    names: set[str],
) -> Iterator[Diagnostic]:
    edge = network.projections.get(projection)
    rule = edge.rule if edge is not None else None
    if rule is None:
        return
    reported: set[str] = set()
    for ref, name in _reads(rule, clock):
        if name in names and name not in ran and name not in reported:
            reported.add(name)
            labels = (Label(at, f"`{projection}` learns here"),) if at is not None else ()
            yield Diagnostic(
                "E0522",
                f"rule `{rule.name}` reads phase `{name}`, which has not run since the last reset, "
                "for these samples, where the rule is applied",
                ref.span or at or NO_SPAN,
                labels,
                f"run `phase {name} …` before it, in the same block",
            )


def _reads(rule: Rule, clock: str) -> Iterator[tuple[Ref, str]]:
    """What is read of phases at one of the clocks; plain statements run at every step."""
    for flow in walk_rule(rule):
        if clock != ("step" if flow.section == "statement" else rule.clock):
            continue
        for ref in flow.sources:
            name = ref.phase
            if name is not None:
                yield ref, name
