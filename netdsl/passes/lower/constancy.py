"""Which variables of cells stay as a clamp has put them."""

from __future__ import annotations

from netdsl.ir.network import Integrate, Kind, Variable
from netdsl.passes.lower.context import Context
from netdsl.passes.lower.sites import clamps_of, sets_of


def constant_source(context: Context, variable: Variable) -> bool:
    """Is this a state that no body assigns and that at most one clamp per protocol drives?

    Then its value at the end of any phase of a block is its present value: no snapshot is needed.
    """
    if variable.kind is not Kind.STATE or variable.owner not in context.network.populations:
        return False
    cell = context.network.populations[variable.owner]
    if variable.path not in cell.variables or variable.path in assigned(context, cell.name):
        return False
    if sets_of(context.network, variable.path):
        return False
    return all(count <= 1 for count in clamps_of(context.network, variable.path).values())


def assigned(context: Context, population: str) -> frozenset[str]:
    """Paths that a population's body, or its phase-entry actions, assign."""
    found: set[str] = set()
    held = context.network.populations[population]
    for statement in (*held.body, *held.on_phase):
        if isinstance(statement, Integrate):
            found.update(path for path, _ in statement.equations)
        else:
            found.add(statement.target)
    return frozenset(found)
