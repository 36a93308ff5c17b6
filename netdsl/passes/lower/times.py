"""Time roles of reads: how many steps back a value is, and the same value further back."""

from __future__ import annotations

from dataclasses import replace

from netdsl.ir.expr import ARRIVAL, NOW, PREV, Expr, Ref, transform

DELAY = "delay:"  # time role of a value two or more steps old: "delay:3"


def steps_ago(time: str) -> int:
    """How many steps back a read of that time role looks."""
    if time == PREV:
        return 1
    return int(time.removeprefix(DELAY)) if time.startswith(DELAY) else 0


def time_of(steps: int) -> str:
    """The time role of a read so many steps back."""
    return (NOW, PREV)[steps] if steps < 2 else f"{DELAY}{steps}"


def retime(expr: Expr, steps: int) -> Expr:
    """The value of an expression `steps` steps ago."""

    def visit(node: Expr) -> Expr | None:
        if isinstance(node, Ref) and (node.time == NOW or steps_ago(node.time)):
            return replace(node, time=time_of(steps_ago(node.time) + steps))
        return None

    return transform(expr, visit) if steps else expr


def at_arrival(expr: Expr, delay: int, *, begun: bool = True) -> Expr:
    """The expression with presynaptic reads placed `delay` steps back.

    Unless the step has `begun`, present values are those of the step before.
    """

    def visit(node: Expr) -> Expr | None:
        if not isinstance(node, Ref) or (node.time != ARRIVAL and node.side != "pre"):
            return None
        if node.time == ARRIVAL:
            now = delay == 1 and not begun
            return replace(node, time=NOW if now else time_of(delay))
        return replace(node, time=time_of(1 + delay)) if node.time == PREV else None

    return transform(expr, visit)
