"""Buffers of what variables were in earlier steps."""

from __future__ import annotations

from dataclasses import replace

from netdsl.ir.network import Kind, Type, Variable
from netdsl.ir.program import Key
from netdsl.ir.rings import View
from netdsl.passes.lower.context import Context

START, PAST = "prev", "past"  # tags of the value at the start of a step, and of earlier ones


def delayed(context: Context, variable: Variable, steps: int) -> str:
    """The buffer of a value `steps` steps ago (start-of-step value for 1).

    Values of two steps and more are slots of a ring; what stands here for a slot until the length
    of the ring is known is a view.
    """
    if steps == 1:
        return _earlier(context, variable, START, "value 1 step ago")
    name = _earlier(context, variable, f"{PAST}.{steps}", f"value {steps} steps ago")
    context.views[name] = View(line(context, variable, steps), steps - 1)
    return name


def start_of_step(context: Context, variable: Variable) -> str:
    """The buffer of a variable's value one step ago; "" where nothing reads it."""
    return context.named.get(Key(variable.path, START), "")


def line(context: Context, variable: Variable, steps: int) -> str:
    """The ring of a variable's earlier values, at least `steps` of them."""
    name = _earlier(context, variable, PAST, "values of earlier steps")
    held = context.buffers[name]
    if held.slots < steps:
        context.buffers[name] = replace(held, slots=steps)
    return name


def _earlier(context: Context, variable: Variable, tag: str, why: str) -> str:
    binary = variable.kind is Kind.SPIKE or variable.type is Type.BOOL
    return context.need(
        variable.path,
        variable.place,
        variable.owner,
        "snapshot",
        why,
        type=Type.BOOL if binary else Type.REAL,
        span=variable.span,
        tag=tag,
    )
