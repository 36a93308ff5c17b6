"""E0625: a bound whose lower end is above its upper end."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.diagnostics import NO_SPAN, Diagnostic
from netdsl.ir.algebra.simplify import simplify
from netdsl.ir.expr import Const, span_of
from netdsl.ir.network import Network


def check(network: Network) -> Iterator[Diagnostic]:
    """`bound w in [low, high]` needs low <= high."""
    for projection in network.projections.values():
        rule = projection.rule
        if rule is None or rule.bound is None:
            continue
        ends = [simplify(end) for end in rule.bound]
        low, high = (float(e.value) if isinstance(e, Const) else None for e in ends)
        if low is not None and high is not None and low > high:
            yield Diagnostic(
                "E0625",
                f"the weights of `{projection.name}` cannot lie in [{low:g}, {high:g}]",
                span_of(rule.bound[0]) or rule.span or NO_SPAN,
                help=f"write `bound w in [{high:g}, {low:g}]`",
            )
