"""E0206: values of populations of different sizes in one expression of a protocol or readout."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.checks.e0206_copied_weights import synapse_shape
from netdsl.dataflow.walk import Flow, walk_host
from netdsl.diagnostics import NO_SPAN, Diagnostic
from netdsl.diagnostics.span import Span
from netdsl.ir.expr import Apply, Expr, Reduce, Ref, children, span_of
from netdsl.ir.network import Network, Place
from netdsl.ir.protocol import Clamp, SetState

Width = tuple[str, int | tuple[int, ...]]  # a population's size, or the shape of a projection
_WHOLE = ("angle", "transpose", "logdet", "argmax", "cross_entropy")  # of whole arrays


def check(network: Network) -> Iterator[Diagnostic]:
    """Values per neuron meet values per neuron of populations of the same size only."""
    for flow in walk_host(network):
        if isinstance(flow.node, Clamp | SetState):
            yield from _target(network, flow)
        else:
            yield from _Widths(network).faults(flow.expr)


def _target(network: Network, flow: Flow) -> Iterator[Diagnostic]:
    variable = network.table.get(flow.target)
    if variable is None or variable.owner not in network.populations:
        return
    widths = _Widths(network)
    found = widths.of(flow.expr)
    size = network.populations[variable.owner].size
    if found is not None and found[1] != size and not widths.found:
        widths.mismatch(found, (variable.owner, size), span_of(flow.expr) or flow.span)
    yield from widths.found


def _many(width: Width) -> str:
    number = width[1]
    if isinstance(number, int):
        return f"{number} neurons"
    return f"{' x '.join(map(str, number))} synapses"


class _Widths:
    """The width of an expression, and what does not fit in it."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.found: list[Diagnostic] = []

    def faults(self, expr: Expr) -> list[Diagnostic]:
        self.of(expr)
        return self.found

    def of(self, expr: Expr) -> Width | None:
        """The population whose neurons a value counts; None where it is one number."""
        if isinstance(expr, Ref):
            return self._ref(expr)
        if isinstance(expr, Reduce):
            inner = self.of(expr.body)
            return inner if expr.axis == "batch" or expr.over_phase is not None else None
        widths = [width for width in map(self.of, children(expr)) if width is not None]
        if isinstance(expr, Apply) and expr.function in _WHOLE:
            return None
        for width in widths[1:]:
            if width[1] != widths[0][1] and not self.found:
                self.mismatch(widths[0], width, span_of(expr))
        return widths[0] if widths else None

    def _ref(self, ref: Ref) -> Width | None:
        variable = self.network.table.get(ref.path)
        if variable is None or variable.place not in (Place.UNIT, Place.NEURON, Place.SYNAPSE):
            return None
        population = self.network.populations.get(variable.owner)
        if population is not None:
            return population.name, population.size
        shape = synapse_shape(self.network, ref.path)
        return None if shape is None else (variable.owner, shape)

    def mismatch(self, a: Width, b: Width, span: Span | None) -> None:
        """Report two widths that meet."""
        self.found.append(
            Diagnostic(
                "E0206",
                f"`{a[0]}` has {_many(a)} and `{b[0]}` has {_many(b)}: their values do not match",
                span or NO_SPAN,
                help="reduce one of them, as in `mean(…)`, or give both populations the same size",
            )
        )
