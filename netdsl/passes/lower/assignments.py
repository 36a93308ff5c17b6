"""What protocols assign: `set`, `clamp`, and the `on phase` actions of cells."""

from __future__ import annotations

from netdsl.ir.expr import Apply, Expr, Local, Ref, transform
from netdsl.ir.network import Place, Population, Variable
from netdsl.ir.program import Bind, Copy, Elementwise, Op, Routine, Store, Transpose
from netdsl.ir.protocol import Clamp, SetState
from netdsl.passes.errors import LoweringError
from netdsl.passes.lower.context import Context
from netdsl.passes.lower.pulse import pulse_buffer, pulsed
from netdsl.passes.lower.resolve import variable_buffer
from netdsl.passes.lower.settle import Settle
from netdsl.passes.lower.sites import Site


def set_routine(context: Context, site: Site, step: SetState) -> Routine:
    """`set`: a value for a state, a pulse for an input, or one weight from another."""
    variable = context.variable(step.target)
    clamped = frozenset(c.target for c in site.clamps)
    if variable.owner in context.network.projections:
        ops = _set_weight(context, step, variable)
    else:
        settle = Settle(context, clamped)
        value = settle.value(variable.owner, step.value)
        pulse = pulsed(context, step.target)
        buffer = pulse_buffer(context, step.target) if pulse else None
        target = buffer or variable_buffer(context, variable)
        store = Store(target, value, step.span)
        ops = [*settle.ops, Elementwise(variable.owner, (store,), label=f"set {step.target}")]
    return Routine(step.site, "set", tuple(ops), span=step.span)


def _set_weight(context: Context, step: SetState, variable: Variable) -> list[Op]:
    value = step.value
    target = variable_buffer(context, variable)
    if isinstance(value, Apply) and value.function == "transpose":
        source = value.args[0]
        if isinstance(source, Ref):
            return [Transpose(target, _held(context, source), step.span)]
    if isinstance(value, Ref):
        return [Copy(target, _held(context, value), step.span)]
    raise LoweringError(
        "E0831",
        f"`set {step.target}` takes another weight or its transpose",
        step.span,
        "write `set Wc.w := transpose(W.w)`",
    )


def _held(context: Context, ref: Ref) -> str:
    return variable_buffer(context, context.variable(ref.path))


def clamp_ops(context: Context, clamp: Clamp, clamped: frozenset[str]) -> list[Op]:
    """Store a clamp's value."""
    variable = context.variable(clamp.target)
    settle = Settle(context, clamped)
    value = settle.value(variable.owner, clamp.value)
    target = variable_buffer(context, variable)
    binds, value = _once_a_sample(context, clamp.target, value)
    store = Store(target, value, clamp.span)
    cells = Elementwise(variable.owner, (*binds, store), label=f"clamp {clamp.target}")
    return [*settle.ops, cells]


def _once_a_sample(context: Context, target: str, value: Expr) -> tuple[list[Bind], Expr]:
    """Names for the parts of a value that are one number a sample, and the value with them."""
    binds: list[Bind] = []

    def visit(node: Expr) -> Expr | None:
        if not isinstance(node, Apply) or context.place(node) is not Place.ROW:
            return None
        bind = next((b for b in binds if b.value == node), None)
        if bind is None:
            bind = Bind(f"{target}.sample{len(binds)}", node, node.span)
            binds.append(bind)
        return Local(bind.name, node.span)

    made = transform(value, visit)
    return (binds, made) if not isinstance(made, Local) else ([], value)


def entry_ops(context: Context, clamped: frozenset[str]) -> list[Op]:
    """`on phase` actions."""
    ops: list[Op] = []
    for population in context.network.populations.values():
        if population.on_phase:
            ops += _entry_of(context, clamped, population)
    return ops


def _entry_of(context: Context, clamped: frozenset[str], population: Population) -> list[Op]:
    settle = Settle(context, clamped)
    stores = []
    for action in population.on_phase:
        if action.target in clamped:
            continue
        value = settle.value(population.name, action.value)
        target = variable_buffer(context, context.variable(action.target))
        stores.append(Store(target, value, action.span))
    return [*settle.ops, Elementwise(population.name, tuple(stores), label="on phase")]
