"""Buffers of what variables were in earlier steps."""

from __future__ import annotations

from dataclasses import replace

from netdsl.ir.network import Kind, Type, Variable
from netdsl.ir.rings import View
from netdsl.passes.context import Context


def delayed(context: Context, variable: Variable, steps: int) -> str:
    """The buffer of a value `steps` steps ago (start-of-step value for 1).

    Values of two steps and more are slots of a ring; what stands here for a slot until the length
    of the ring is known is a view.
    """
    if steps == 1:
        return _earlier(context, variable, start_of_step(variable), "value 1 step ago")
    name = f"{variable.path}@past.{steps}"
    context.views[name] = View(line(context, variable, steps), steps - 1)
    return _earlier(context, variable, name, f"value {steps} steps ago")


def start_of_step(variable: Variable) -> str:
    """What the buffer of a variable's value one step ago is called."""
    return f"{variable.path}@prev"


def line(context: Context, variable: Variable, steps: int) -> str:
    """The ring of a variable's earlier values, at least `steps` of them."""
    name = _earlier(context, variable, f"{variable.path}@past.steps", "values of earlier steps")
    held = context.buffers[name]
    if held.slots < steps:
        context.buffers[name] = replace(held, slots=steps, of=variable.path, tag="past")
    return name


def _earlier(context: Context, variable: Variable, name: str, why: str) -> str:
    binary = variable.kind is Kind.SPIKE or variable.type is Type.BOOL
    return context.need(
        name,
        variable.place,
        variable.owner,
        "snapshot",
        why,
        type=Type.BOOL if binary else Type.REAL,
        span=variable.span,
    )
