"""E0790, E0791: an ensemble of which nothing varies, or whose members would go different ways."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.diagnostics import NO_SPAN, Diagnostic, Label
from netdsl.ir import protocol as proto
from netdsl.ir.ensemble import WEIGHTS, Ensemble, drawn_kinds
from netdsl.ir.expr import Expr, Ref, span_of, walk
from netdsl.ir.network import Kind, Network
from netdsl.ir.protocol import Step, steps_of

# What the host holds, once for all members.
_SHARED = (Kind.CONTROL, Kind.GLOBAL, Kind.COUNTER, Kind.SAMPLE)


def check(network: Network) -> Iterator[Diagnostic]:
    """Members differ in what they draw at build, and take the same way through a protocol."""
    ensemble = network.ensemble
    if ensemble is None:
        return
    drawn = drawn_kinds(network.table)
    for kind in ensemble.vary:
        if kind not in drawn:
            yield _alike(kind, ensemble)
    for protocol in network.protocols.values():
        for step in steps_of(protocol.body):
            yield from _decisions(step, network, ensemble)


def _alike(kind: str, ensemble: Ensemble) -> Diagnostic:
    example = "weight w ~ uniform(0, 1)" if kind == WEIGHTS else "param x per neuron ~ normal(0, 1)"
    return Diagnostic(
        "E0790",
        f"no {kind} are drawn when the network is built, so all members would be alike",
        ensemble.span or NO_SPAN,
        help=f"draw them, as in `{example}`, or leave `{kind}` out",
    )


def _decisions(step: Step, network: Network, ensemble: Ensemble) -> Iterator[Diagnostic]:
    for what, expr in _host_values(step):
        for node in walk(expr):
            variable = network.table.get(node.path) if isinstance(node, Ref) else None
            if variable is not None and variable.kind not in _SHARED:
                yield Diagnostic(
                    "E0791",
                    f"{what} depends on `{variable.path}`, which differs between the members of the"
                    " ensemble",
                    span_of(node) or step.span or NO_SPAN,
                    (Label(ensemble.span or NO_SPAN, "members go the same way"),),
                    "decide by counters, controls, global states and samples, or run `--seeds` in"
                    " place of an ensemble",
                )
                break
    holds = [v for v in network.variables.values() if v.kind is Kind.GLOBAL]
    if isinstance(step, proto.Restore) and holds:
        yield Diagnostic(
            "E0791",
            f"`restore {step.name}` gives members the parameters of different times, and"
            f" `{holds[0].path}` has one value for all",
            step.span or NO_SPAN,
            (Label(ensemble.span or NO_SPAN, "each member keeps its own best"),),
            "make it a state of a cell, or leave the ensemble out",
        )


def _host_values(step: Step) -> Iterator[tuple[str, Expr]]:
    """What the host computes for a statement, with its name."""
    if isinstance(step, proto.Choose):
        yield "this condition", step.condition
    elif isinstance(step, proto.Repeat):
        yield "this condition", step.until
        yield "this limit", step.limit
    elif isinstance(step, proto.RunPhase):
        yield f"the length of phase `{step.name}`", step.steps
        yield from ((f"control `{name}`", value) for name, value in step.controls)
    elif isinstance(step, proto.SetGlobal):
        yield f"global state `{step.target}`", step.value
    elif isinstance(step, proto.Each | proto.Evaluate) and step.limit is not None:
        yield "this limit", step.limit
    elif isinstance(step, proto.RunProtocol) and step.rounds is not None:
        yield f"how often `{step.protocol}` goes round", step.rounds
