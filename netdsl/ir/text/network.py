"""The network graph as readable text."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.ir.network import (
    Assign,
    DrawAssign,
    Integrate,
    Network,
    Place,
    Population,
    Projection,
    Spike,
)
from netdsl.ir.network import Statement as CellStatement
from netdsl.ir.text.expressions import expression


def network_text(network: Network) -> str:
    """Populations with their bodies, projections with what they deliver and learn."""
    lines = [f"network {network.name}"]
    if network.dt is not None:
        lines.append(f"dt = {network.dt:g} s")
    if network.ensemble is not None:
        lines.append(f"ensemble {network.ensemble.count} vary {', '.join(network.ensemble.vary)}")
    for memory in network.memories.values():
        of = ", ".join(memory.variables) or memory.data
        lines.append(f"memory {memory.name} : {memory.kind}[{memory.size}] of {of}")
    for population in network.populations.values():
        lines += _population(population)
    for projection in network.projections.values():
        lines += _projection(projection)
    return "\n".join(lines) + "\n"


def _population(population: Population) -> Iterator[str]:
    axes = ", ".join(f"{name}: {n}" if name else str(n) for name, n in population.axes)
    yield f"\npopulation {population.name} : {population.cell}[{axes}]"
    for variable in population.variables.values():
        where = "" if variable.place is Place.UNIT else f" per {variable.place.value}"
        value = f" = {expression(variable.definition)}" if variable.definition else ""
        yield f"  {variable.kind.value} {variable.name}{where}{value}"
    for statement in population.body:
        yield f"  {cell_statement(statement)}"
    for action in population.on_phase:
        yield f"  on phase: {cell_statement(action)}"


def cell_statement(statement: CellStatement) -> str:
    """One statement of a cell."""
    if isinstance(statement, Assign):
        return f"{statement.target} := {expression(statement.value)}"
    if isinstance(statement, DrawAssign):
        args = ", ".join(expression(arg) for arg in statement.draw.args)
        return f"{statement.target} ~ {statement.draw.distribution}({args})"
    if isinstance(statement, Spike):
        return f"spike {statement.target} when {expression(statement.condition)}"
    assert isinstance(statement, Integrate)
    system = "; ".join(f"d {path}/dt = {expression(rhs)}" for path, rhs in statement.equations)
    return f"integrate {system} with {statement.method}"


def _projection(projection: Projection) -> Iterator[str]:
    kind = projection.connectivity.kind
    windows = projection.connectivity.windows
    if windows is not None and windows.still:
        kind += f" (shared by {windows.positions} positions)"
    elif windows is not None:
        kind += f" (kernel {_by(windows.kernel)}, stride {_by(windows.stride)}, "
        kind += f"pad {_by(windows.pad)}, {windows.positions} positions)"
    if projection.transpose_of is not None:
        kind = f"transpose of {projection.transpose_of}"
    elif projection.mask_of is not None:
        kind = f"mask_transpose of {projection.mask_of}"
    yield (
        f"\nprojection {projection.name} : {projection.pre} -> {projection.post} {kind} "
        f"delay {projection.delay} step"
    )
    for deliver in projection.delivers:
        yield f"  deliver {deliver.input} += {expression(deliver.value)}"
    rule = projection.rule
    if rule is None:
        return
    yield f"  learn {rule.name} at every {rule.clock}" + (f" of {rule.loss}" if rule.loss else "")
    for variable in rule.variables.values():
        yield f"    {variable.kind.value} {variable.path} per {variable.place.value}"
    for statement in rule.statements:
        yield f"    {cell_statement(statement)}"
    if rule.dw is not None:
        yield f"    dw = {expression(rule.dw)}  ({rule.reduce} over batch)"
    if rule.optimiser is not None:
        yield f"    optimise {rule.optimiser.name}: {expression(rule.optimiser.change)}"
    for expr in rule.subtract:
        yield f"    subtract {expression(expr)}"
    for assign in rule.after:
        yield f"    after update: {cell_statement(assign)}"
    if rule.bound is not None:
        yield f"    bound in [{expression(rule.bound[0])}, {expression(rule.bound[1])}]"


def _by(pair: tuple[int, int]) -> str:
    return f"{pair[0]} x {pair[1]}"
