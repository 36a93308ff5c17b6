"""E0440: a variable that is true or false is given what may be another number.

Spikes and bools are stored as 0 and 1, and backends deliver and learn from lists of the ones: a
fraction among them would count as a whole spike.
"""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.dataflow.walk import walk_network
from netdsl.diagnostics import NO_SPAN, Diagnostic, Label
from netdsl.diagnostics.span import Span
from netdsl.ir.expr import Apply, Const, Expr, Reduce, Ref, span_of
from netdsl.ir.functions import FUNCTIONS
from netdsl.ir.network import Draw, Integrate, Kind, Network, Type, Variable

Given = tuple[str, Expr | Draw | None, Span | None]  # a target, what it is given, and where

# Of arguments that are 0 or 1 these give 0 or 1.
_CLOSED = frozenset({"mul", "min", "max", "abs", "sign", "floor", "relu"})


def check(network: Network) -> Iterator[Diagnostic]:
    """Whatever is stored in a bool or a spike is 0 or 1 on every path."""
    reported: set[Span] = set()
    for target, value, span in _given(network):
        variable = network.table.get(target)
        if variable is None or not is_bool(variable) or is_binary(value, network):
            continue
        at = getattr(value, "span", None) or span or NO_SPAN
        if at not in reported:
            reported.add(at)
            yield _refused(variable, value, at)


def _refused(variable: Variable, value: Expr | Draw | None, at: Span) -> Diagnostic:
    known = f"{value.value:g}" if isinstance(value, Const) else "a number of any size"
    labels = (Label(variable.span, "declared here"),) if variable.span not in (None, at) else ()
    return Diagnostic(
        "E0440",
        f"`{variable.path}` is true or false, and this is {known}",
        at,
        labels,
        "write a comparison, as in `x > 0.5`, or keep the number in a variable without `: bool`",
    )


def is_bool(variable: Variable) -> bool:
    """Is it stored as 0 or 1?"""
    return variable.kind is Kind.SPIKE or variable.type is Type.BOOL


def is_binary(value: Expr | Draw | None, network: Network) -> bool:
    """Is a value 0 or 1, whatever its variables hold?"""
    if isinstance(value, Draw):
        return value.distribution == "bernoulli" and not value.gram
    if isinstance(value, Const):
        return value.value in (0, 1)
    if isinstance(value, Ref):
        variable = network.table.get(value.path)
        return variable is not None and is_bool(variable)
    if isinstance(value, Reduce):
        inner = value.kind in ("max", "min") and is_binary(value.body, network)
        return value.kind == "any" or inner
    if isinstance(value, Apply):
        return _applied(value, network)
    return False


def _applied(value: Apply, network: Network) -> bool:
    known = FUNCTIONS.get(value.function)
    if known is not None and known.result == "bool":
        return True
    if value.function == "select":
        return all(is_binary(arg, network) for arg in value.args[1:])
    if value.function == "sub":
        return value.args[0] == Const(1) and is_binary(value.args[1], network)
    return value.function in _CLOSED and all(is_binary(arg, network) for arg in value.args)


def _given(network: Network) -> Iterator[Given]:
    """Everything that is stored in a variable, wherever it is written."""
    for flow in walk_network(network):
        if flow.kind == "slope":
            continue
        if isinstance(flow.node, Integrate):
            yield flow.target, None, flow.node.span
        elif flow.kind == "deliver":
            # Even of single spikes an input holds the sum.
            yield flow.target, None, span_of(flow.expr) or flow.span
        else:
            yield flow.target, flow.draw or flow.expr, flow.span
