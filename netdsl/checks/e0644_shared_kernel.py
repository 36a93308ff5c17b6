"""E0644: a shared kernel that would have to know which neuron it stands for."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.diagnostics import NO_SPAN, Diagnostic, Span
from netdsl.ir.expr import Expr, Index, Ref, span_of, walk
from netdsl.ir.network import Draw, Network, Projection

_HELP = "make the projection `dense`, or give the populations a state that holds the difference"


def check(network: Network) -> Iterator[Diagnostic]:
    """A kernel shared by all positions has no neuron of its own at either end."""
    for projection in network.projections.values():
        if projection.connectivity.windows is None:
            continue
        span = _of_one_neuron(projection)
        if span is not None:
            yield Diagnostic(
                "E0644",
                f"the kernel of `{projection.name}` is shared by many pairs of neurons: nothing "
                "about it can depend on one neuron's index",
                span,
                help=_HELP,
            )


def _of_one_neuron(projection: Projection) -> Span | None:
    """Where one neuron is asked for; None where it is not."""
    whole = projection.connectivity.span or projection.span or NO_SPAN
    if not projection.connectivity.self_connections:
        return whole
    for expr in _expressions(projection):
        for node in walk(expr):
            if isinstance(node, Index) and node.side in ("pre", "post"):
                return span_of(node) or whole
    for expr in _starts(projection):
        for node in walk(expr):
            if isinstance(node, Ref) and node.side in ("pre", "post"):
                return span_of(node) or whole
    return None


def _starts(projection: Projection) -> Iterator[Expr]:
    for variable in projection.variables.values():
        if isinstance(variable.init, Draw):
            yield from variable.init.args
        elif variable.init is not None:
            yield variable.init


def _expressions(projection: Projection) -> Iterator[Expr]:
    yield from _starts(projection)
    yield from (deliver.value for deliver in projection.delivers)
    if projection.sign is not None:
        yield projection.sign
    rule = projection.rule
    if rule is None:
        return
    if rule.dw is not None:
        yield rule.dw
    yield from rule.subtract
    yield from (assign.value for assign in rule.after)
    yield from rule.bound or ()
    for statement in rule.statements:
        value = getattr(statement, "value", None)
        if isinstance(value, Expr):
            yield value
