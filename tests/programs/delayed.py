"""Rings of every shape, read at fixed slots and at slots that are found as the program runs."""

from __future__ import annotations

from dataclasses import replace

from netdsl.ir.expr import Expr, Load, Local
from netdsl.ir.network import Place, Type
from netdsl.ir.program import (
    Bind,
    Elementwise,
    Op,
    Product,
    Program,
    Propagate,
    Push,
    Routine,
    RowReduce,
    Store,
    Sum,
    SynapseUpdate,
    WindowSum,
)
from netdsl.ir.windows import Windows
from tests.programs.parts import buffer, fn, program


def delay_lines(m: int = 9, n: int = 5) -> Program:
    """Spikes and values sent late, learnt from late, and read by cells, rows, shared numbers."""
    buffers = [
        buffer("a.s", Place.UNIT, "a", type=Type.BOOL),
        buffer("a.s@past", Place.UNIT, "a", "snapshot", type=Type.BOOL, slots=4),
        buffer("b.v", Place.UNIT, "b"),
        buffer("b.v@past", Place.UNIT, "b", "snapshot", slots=7),
        buffer("b.in", Place.UNIT, "b", "input"),
        buffer("b.seen", Place.UNIT, "b"),
        buffer("b.bias", Place.NEURON, "b", "parameter"),
        buffer("b.bias@past", Place.NEURON, "b", "snapshot", slots=2),
        buffer("b.total", Place.ROW, "b"),
        buffer("b.total@past", Place.ROW, "b", "snapshot", slots=3),
        buffer("t@past", Place.GLOBAL, "", "counter", slots=5),
        buffer("W.w", Place.SYNAPSE, "W", "weight"),
        buffer("W.w@past", Place.SYNAPSE, "W", "snapshot", slots=2),
        buffer("R.w", Place.SYNAPSE, "R", "weight"),
        buffer("K.w", Place.SYNAPSE, "K", "weight"),
        buffer("K.g", Place.SYNAPSE, "K", "scratch"),
    ]
    moving: Expr = fn("mod", Load("phase.step"), 7.0)
    pushes: tuple[Op, ...] = (
        Push("a.s@past", "a.s"),
        Push("b.v@past", "b.v"),
        Push("b.bias@past", "b.bias"),
        Push("b.total@past", "b.total"),
        Push("t@past", "t"),
        Push("W.w@past", "W.w"),
    )
    sent: tuple[Op, ...] = (
        Propagate("W", "W.w", "a.s@past", "b.in", accumulate=False, binary=True, ago=3),
        Propagate("W", "W.w", "a.s@past", "b.in", Load("t@past", ago=4), binary=True, ago=1),
        Propagate("R", "R.w", "b.v@past", "b.in", ago=6),
        Propagate("R", "R.w", "b.v@past", "b.in", transposed=True, ago=2),
        Propagate("K", "K.w", "b.v@past", "b.in", ago=5),
    )
    cells: tuple[Op, ...] = (
        Elementwise(
            "b",
            (
                Bind("old", fn("mul", Load("b.v@past", ago=4), Load("b.bias@past", ago=1))),
                Store("b.seen", fn("add", Load("b.v@past", ago=moving), Local("late"))),
                Store("b.v", fn("tanh", fn("add", Load("b.in"), Local("old")))),
                RowReduce("b.total", "mean", fn("add", Load("b.v"), Load("b.total@past", ago=2))),
            ),
            scalars=(Bind("late", fn("mul", 0.1, Load("t@past", ago=3))),),
        ),
        Elementwise(
            "a",
            (Store("a.s", fn("sub", 1, Load("a.s@past", ago=fn("mod", Load("t"), 4.0)))),),
        ),
    )
    learn: tuple[Op, ...] = (
        SynapseUpdate(
            "W",
            (
                Sum(
                    "g",
                    (
                        Product("a.s@past", "b.v", binary_pre=True, pre_ago=2),
                        Product("a.s@past", "b.v@past", binary_pre=True, pre_ago=3, post_ago=1),
                        Product(None, "b.v@past", fn("mul", 0.5, Load("W.w")), post_ago=6),
                        Product("a.s@past", None, pre_ago=1),
                    ),
                ),
            ),
            (
                Bind("mix", fn("add", Load("W.w@past", ago=1), Local("g"))),
                Store("W.w", fn("tanh", fn("mul", 0.2, Local("mix")))),
            ),
        ),
        SynapseUpdate(
            "R",
            (Sum("g", (Product("b.v@past", "b.v@past", pre_ago=5, post_ago=3),)),),
            (Store("R.w", fn("tanh", fn("sub", Load("R.w"), fn("mul", 0.1, Local("g"))))),),
        ),
        WindowSum("K", "b.v@past", "b.v@past", "K.g", pre_ago=1, post_ago=4),
        SynapseUpdate(
            "K", (), (Store("K.w", fn("add", Load("K.w"), fn("mul", 0.01, Load("K.g")))),)
        ),
    )
    rings = ("a.s", "b.v", "b.total", "t")
    window = Windows(n, 1, 1, (3, 1), (1, 1), (1, 0), n, 1, 1)
    made = program(
        "delay_lines",
        {"a": m, "b": n},
        {"W": (m, n), "R": (n, n), "K": window.shape},
        buffers,
        [
            Routine("go", "phase", phase="go", step=(*pushes, *sent, *cells, *learn)),
            Routine("forget", "reset", once=tuple(Push(f"{r}@past", r, all=True) for r in rings)),
        ],
    )
    return replace(made, layouts={"K": window})
