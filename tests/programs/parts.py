"""Pieces that the hand-made step programs are put together from."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from netdsl.ir.expr import Apply, Const, Expr, Load, Local
from netdsl.ir.network import Place
from netdsl.ir.program import (
    Bind,
    Buffer,
    Program,
    Routine,
    Store,
)

ROWS = 6
KEYS = np.arange(1, ROWS + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)


def fn(name: str, *args: Expr | float) -> Expr:
    """`Apply` with numbers wrapped."""
    return Apply(name, tuple(a if isinstance(a, Expr) else Const(a) for a in args))


def buffer(name: str, place: Place, owner: str = "", role: str = "state", **more: object) -> Buffer:
    """A buffer of a variable of its name, REAL unless said otherwise."""
    return Buffer(name, place, owner, role, **{"of": name, **more})  # type: ignore[arg-type]


def program(
    name: str,
    sizes: dict[str, int],
    shapes: dict[str, tuple[int, int]],
    buffers: Iterable[Buffer],
    routines: Iterable[Routine],
) -> Program:
    """A program with the counters that every program has."""
    counters = [
        buffer("phase.step", Place.GLOBAL, role="counter"),
        buffer("t", Place.GLOBAL, role="counter"),
    ]
    table = {entry.name: entry for entry in [*buffers, *counters]}
    return Program(name, sizes, shapes, table, {routine.name: routine for routine in routines})


def adam(
    prefix: str, g: Expr, rate: float
) -> tuple[tuple[Store, ...], tuple[Bind, ...], tuple[Bind | Store, ...], Expr]:
    """Adam as `before`, `scalars`, statements and change, over buffers `PREFIX.m/v/n`."""
    m, v, n = f"{prefix}.m", f"{prefix}.v", f"{prefix}.n"
    before = (Store(n, fn("add", Load(n), 1)),)
    scalars = (
        Bind("c1", fn("sub", 1, fn("pow", 0.9, Load(n)))),
        Bind("c2", fn("sub", 1, fn("pow", 0.999, Load(n)))),
    )
    statements = (
        Store(m, fn("add", fn("mul", 0.9, Load(m)), fn("mul", fn("sub", 1, Const(0.9)), g))),
        Store(
            v,
            fn(
                "add",
                fn("mul", 0.999, Load(v)),
                fn("mul", fn("sub", 1, Const(0.999)), fn("pow", g, 2)),
            ),
        ),
    )
    change = fn(
        "mul",
        rate,
        fn(
            "div",
            fn("div", Load(m), Local("c1")),
            fn("add", fn("sqrt", fn("div", Load(v), Local("c2"))), 1e-8),
        ),
    )
    return before, scalars, statements, change
