"""The network and the step program as readable text, for `netdsl show` and tests."""

from __future__ import annotations

from collections.abc import Iterator

from netdsl.ir.expr import NOW, Apply, Const, Expr, Index, Load, Local, Reduce, Ref
from netdsl.ir.functions import FUNCTIONS
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
from netdsl.ir.program import (
    AxisReduce,
    Bind,
    Copy,
    DrawStore,
    Elementwise,
    Fill,
    GroupReduce,
    Op,
    Product,
    Propagate,
    Routine,
    RowReduce,
    Statement,
    Store,
    SynapseUpdate,
    Transpose,
    WindowSum,
)


def expression(expr: Expr, level: int = 0) -> str:
    """An expression with as few parentheses as its operators need."""
    if isinstance(expr, Const):
        return f"{expr.value:.10g}" if isinstance(expr.value, float) else str(expr.value)
    if isinstance(expr, Ref):
        side = "" if expr.side == "own" else f"{expr.side} "
        time = "" if expr.time == NOW else f"@{expr.time.lstrip('@')}"
        return f"{side}{expr.path}{time}"
    if isinstance(expr, Load):
        return expr.buffer
    if isinstance(expr, Local):
        return f"%{expr.name}"
    if isinstance(expr, Index):
        return f"index({expr.axis or expr.side})"
    if isinstance(expr, Reduce):
        return f"{expr.kind}({expression(expr.body)} over {expr.axis})"
    assert isinstance(expr, Apply)
    return _apply(expr, level)


def _apply(expr: Apply, level: int) -> str:
    row = FUNCTIONS.get(expr.function)
    if row is not None and row.symbol:
        symbol, own = row.symbol, row.level
        left, right = expression(expr.args[0], own), expression(expr.args[1], own + 1)
        text = f"{left} {symbol} {right}"
        return f"({text})" if own < level else text
    if expr.function == "neg":
        return f"-{expression(expr.args[0], 6)}"
    if expr.function == "select":
        test, yes, no = (expression(arg) for arg in expr.args)
        return f"({yes} if {test} else {no})"
    return f"{expr.function}({', '.join(expression(arg) for arg in expr.args)})"


def network_text(network: Network) -> str:
    """Populations with their bodies, projections with what they deliver and learn."""
    lines = [f"network {network.name}"]
    if network.dt is not None:
        lines.append(f"dt = {network.dt:g} s")
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


def routine_text(routine: Routine) -> str:
    """A routine as its schedule: what runs once, at every step, at the end, with notes."""
    where = f"  # line {routine.span.line}" if routine.span else ""
    title = f"phase {routine.phase}" if routine.kind == "phase" else routine.kind
    lines = [f"{title} [{routine.name}]{where}"]
    for label, ops in (
        ("once", routine.once),
        ("each step", routine.step),
        ("at the end", routine.after),
    ):
        if ops:
            lines.append(f"  {label}:" if routine.kind == "phase" else "  do:")
            for op in ops:
                lines += [f"    {line}" for line in operation(op)]
    lines += [f"  note: {note}" for note in routine.notes]
    return "\n".join(lines)


def operation(op: Op) -> list[str]:
    """One operation, with its statements indented below it."""
    if isinstance(op, Elementwise):
        return [
            f"cells {op.population}" + (f"  # {op.label}" if op.label else ""),
            *(f"  {statement(s)}" for s in (*op.scalars, *op.statements)),
        ]
    if isinstance(op, Propagate):
        sign = "+=" if op.accumulate else ":="
        scale = f"{expression(op.scale)} * " if op.scale is not None else ""
        weight = f"transpose({op.weight})" if op.transposed else op.weight
        return [f"{op.target} {sign} {scale}{op.source} . {weight}"]
    if isinstance(op, SynapseUpdate):
        lines = [f"synapses {op.projection}  # {op.label}"]
        lines += [f"  %{s.name} = {' + '.join(_product(p) for p in s.products)}" for s in op.sums]
        return [*lines, *(f"  {statement(s)}" for s in (*op.before, *op.scalars, *op.statements))]
    if isinstance(op, WindowSum):
        return [f"{op.target} := window_sum({op.pre} x {op.post}) over rows and positions"]
    if isinstance(op, GroupReduce):
        return [f"{op.target} := {op.kind}({op.source} over {op.length} neurons {op.inner} apart)"]
    if isinstance(op, Fill):
        return [f"{op.target} := {op.value:g} everywhere"]
    if isinstance(op, Copy):
        return [f"{op.target} := {op.source}"]
    assert isinstance(op, Transpose)
    return [f"{op.target} := transpose({op.source})"]


def _product(product: Product) -> str:
    coefficient = f"({expression(product.coefficient)}) * " if product.coefficient else ""
    return f"{coefficient}batch_sum({product.pre or 1} x {product.post or 1})"


def statement(item: Statement) -> str:
    """One statement of an operation."""
    if isinstance(item, Bind):
        return f"%{item.name} = {expression(item.value)}"
    if isinstance(item, Store):
        return f"{item.buffer} := {expression(item.value)}"
    if isinstance(item, AxisReduce):
        return f"{item.buffer} := {item.kind}({expression(item.value)} over {item.length} neurons)"
    if isinstance(item, RowReduce):
        return f"{item.buffer} := {item.kind}({expression(item.value)} over population)"
    assert isinstance(item, DrawStore)
    args = ", ".join(expression(arg) for arg in item.args)
    return f"{item.buffer} ~ {item.distribution}({args})"
