"""What is remembered from step to step, and how `reset` forgets it."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Set as AbstractSet

from netdsl.ir.expr import Expr, refs
from netdsl.ir.network import Place, Population
from netdsl.ir.program import Copy, Fill, Op, Push
from netdsl.passes.lower.context import Context
from netdsl.passes.lower.past import line, start_of_step
from netdsl.passes.lower.resolve import STEP_COUNTERS, variable_buffer

# Per-sample values that are computed anew: inputs, modulators, snapshots, sums over phases.
_COMPUTED = frozenset({"input", "modulator", "observed", "snapshot", "accumulator"})


def advance(context: Context, read: AbstractSet[str], *, counters: bool = False) -> list[Op]:
    """Delay lines take the value of the step before in; so do start-of-step values that are `read`.

    Those of `counters` move when a step ends: at the start of the next one they have counted on.
    """
    ops: list[Op] = []
    lines = {p: n for p, n in context.lines.items() if (p in STEP_COUNTERS) == counters}
    for path, steps in sorted(lines.items()):
        variable = context.variable(path)
        present = variable_buffer(context, variable)
        if steps > 1:
            ops.append(Push(line(context, variable, steps), present))
        start = start_of_step(context, variable)
        if start in read:
            ops.append(Copy(start, present))
    return ops


def forget(
    context: Context, population: Population, only: AbstractSet[str] | None = None
) -> list[Op]:
    """Operations after a population's states have their start values: inputs and whatever else a
    presentation left behind are 0, and every slot of a delay line holds the present value.

    `only`: what is left behind of these variables alone.
    """
    lines = list(_lines(context, population))
    known = {op.target for op in lines} | context.views.keys()
    left = [
        name
        for name, buffer in context.buffers.items()
        if buffer.owner == population.name
        and buffer.place in (Place.UNIT, Place.ROW)
        and buffer.role in _COMPUTED
        and name not in known
        and (only is None or buffer.of in only)
    ]
    return [*(Fill(name, 0.0) for name in left), *lines]


def _lines(context: Context, population: Population) -> Iterator[Copy | Push]:
    """What fills the delay lines of a population's variables, and of shared numbers that its
    definitions read."""
    own = set(population.variables)
    for variable in population.variables.values():
        own |= _shared(context, variable.definition)
    for path, steps in context.lines.items():
        if path in own:
            variable = context.variable(path)
            present = variable_buffer(context, variable)
            start = start_of_step(context, variable)
            if start:
                yield Copy(start, present)
            if steps > 1:
                yield Push(line(context, variable, steps), present, all=True)


def _shared(context: Context, definition: Expr | None) -> set[str]:
    found = refs(definition) if definition is not None else ()
    return {ref.path for ref in found if context.variable(ref.path).place is Place.GLOBAL}
