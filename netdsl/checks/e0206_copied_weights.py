"""E0206: a weight set to one of another shape."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.checks.ends import sizes
from netdsl.dataflow.walk import walk_host
from netdsl.diagnostics import NO_SPAN, Diagnostic
from netdsl.ir.expr import Apply, Expr, Ref
from netdsl.ir.network import Network
from netdsl.ir.protocol import SetState

Shape = tuple[int, ...]


def check(network: Network) -> Iterator[Diagnostic]:
    """`set A.w := B.w`, or its transpose, joins arrays of one shape."""
    for flow in walk_host(network):
        if isinstance(flow.node, SetState):
            yield from _fault(network, flow.node)


def _fault(network: Network, step: SetState) -> Iterator[Diagnostic]:
    target = synapse_shape(network, step.target)
    transposed = isinstance(step.value, Apply) and step.value.function == "transpose"
    source = _source(network, step.value)
    if target is None or source is None:
        return
    shape = source[::-1] if transposed else source
    if shape != target:
        taken = "the transpose of a weight" if transposed else "a weight"
        yield Diagnostic(
            "E0206",
            f"`{step.target}` is {_text(target)}, and is set to {taken} that is {_text(source)}",
            step.span or NO_SPAN,
            help="copy between projections whose weights have one shape",
        )


def _source(network: Network, value: Expr) -> Shape | None:
    inner = value.args[0] if isinstance(value, Apply) and value.args else value
    return synapse_shape(network, inner.path) if isinstance(inner, Ref) else None


def synapse_shape(network: Network, path: str) -> Shape | None:
    """Shape of a projection's variable; None of anything else."""
    variable = network.table.get(path)
    projection = network.projections.get(variable.owner) if variable is not None else None
    if projection is None:
        return None
    if projection.connectivity.windows is not None:
        return projection.connectivity.windows.shape
    pre, post = sizes(network, projection)
    return (post,) if projection.connectivity.kind == "one_to_one" else (pre, post)


def _text(shape: Shape) -> str:
    return " x ".join(str(n) for n in shape)
