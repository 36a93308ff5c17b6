"""`set` on an input: a pulse that is added to what arrives in the next step, and is then over."""

from __future__ import annotations

from netdsl.ir.expr import Load
from netdsl.ir.network import Kind, Place
from netdsl.ir.program import Copy, Elementwise, Fill, Op, Store
from netdsl.passes.lower.context import Context, add
from netdsl.passes.lower.sites import sets_of


def pulsed(context: Context, path: str) -> bool:
    """Does a protocol `set` this input?"""
    return context.kind(path) is Kind.INPUT and sets_of(context.network, path)


def pulse_buffer(context: Context, path: str) -> str:
    """The buffer that holds an input's pulse until the next step."""
    owner = context.variable(path).owner
    why = "what `set` adds to the next step's input"
    return context.need(path, Place.UNIT, owner, "snapshot", why, tag="set:pulse")


def begin(context: Context, path: str) -> list[Op]:
    """The input starts a step from its pulse, which is used up."""
    pulse = pulse_buffer(context, path)
    return [Copy(path, pulse), Fill(pulse, 0.0)]


def from_base(context: Context, path: str, base: str, started: bool) -> Op:
    """The loop-invariant part begins an input's sum, or joins its pulse."""
    if not started:
        return Copy(path, base)
    total = Store(path, add(Load(path), Load(base)))
    return Elementwise(context.variable(path).owner, (total,), label=path)
