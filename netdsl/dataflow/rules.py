"""The expressions of a rule, wherever they stand in it."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.dataflow.flow import statement_flows
from netdsl.ir.expr import Expr
from netdsl.ir.network import Rule


def sections(rule: Rule) -> Iterator[tuple[str, Expr]]:
    """Every expression of a rule with the part that it stands in."""
    for statement in rule.statements:
        for _, value, _ in statement_flows(statement):
            yield "statement", value
    for variable in rule.variables.values():
        if variable.definition is not None:
            yield "statement", variable.definition
    if rule.dw is not None:
        yield "dw", rule.dw
    for expr in rule.subtract:
        yield "subtract", expr
    for assign in rule.after:
        yield "after update", assign.value
    for limit in rule.bound or ():
        yield "bound", limit
    if rule.optimiser is not None:
        for assign in rule.optimiser.statements:
            yield "optimiser", assign.value
        yield "optimiser", rule.optimiser.change
