"""Step programs whose projections store only existing synapses."""

from __future__ import annotations

from dataclasses import replace

from netdsl.ir.expr import Const, Index, Load, Local
from netdsl.ir.network import Draw, Place, Type
from netdsl.ir.program import (
    Copy,
    Edges,
    Elementwise,
    Fill,
    Product,
    Program,
    Propagate,
    Routine,
    Store,
    Sum,
    SynapseUpdate,
    Transpose,
)
from tests.programs.parts import buffer, fn, program


def as_edges(whole: Program, density: float = 0.3) -> Program:
    """The same program with every projection's synapses drawn; without transpositions."""
    layouts = {
        name: Edges(
            Draw("connect:sparse:bernoulli", (Const(density), Const(True)), f"{name}.mask"), density
        )
        for name in whole.shapes
    }
    routines = {
        name: replace(routine, once=tuple(o for o in routine.once if not isinstance(o, Transpose)))
        for name, routine in whole.routines.items()
    }
    return replace(whole, layouts=layouts, routines=routines)


def deliveries(m: int = 40, n: int = 37, density: float = 0.15) -> Program:
    """Sparse projections with every kind of source, slice, direction and batch product."""
    buffers = [
        buffer("a.s", Place.UNIT, "a", type=Type.BOOL),
        buffer("a.x", Place.UNIT, "a"),
        buffer("b.y", Place.UNIT, "b"),
        buffer("b.j", Place.UNIT, "b"),
        buffer("b.k", Place.UNIT, "b"),
        buffer("a.back", Place.UNIT, "a"),
        buffer("gain", Place.GLOBAL),
        buffer("W.w", Place.SYNAPSE, "W", "weight"),
        buffer("W.old", Place.SYNAPSE, "W"),
        buffer("W.ends", Place.SYNAPSE, "W"),
        buffer("S.w", Place.SYNAPSE, "S", "weight"),
        buffer("D.w", Place.SYNAPSE, "D", "weight"),
    ]
    pre, post = (3, m - 5), (2, n - 4)
    shapes = {"W": (m, n), "S": (pre[1] - pre[0], post[1] - post[0]), "D": (m, n)}
    part = {"pre_slice": pre, "post_slice": post}
    run = Routine(
        "run",
        "phase",
        once=(Fill("a.back", 0.0), Fill("W.old", 0.25)),
        step=(
            Propagate("W", "W.w", "a.s", "b.j", Load("gain"), accumulate=False, binary=True),
            Propagate("D", "D.w", "a.s", "b.j", Const(-0.5), binary=True),
            Propagate("S", "S.w", "a.s", "b.j", None, binary=True, **part),  # type: ignore[arg-type]
            Propagate("W", "W.w", "a.x", "b.k", None, accumulate=False),
            Propagate("S", "S.w", "a.x", "b.k", Const(0.75), **part),  # type: ignore[arg-type]
            Propagate("W", "W.w", "b.y", "a.back", Const(0.5), transposed=True),
            Propagate("S", "S.w", "b.y", "a.back", None, transposed=True, **part),  # type: ignore[arg-type]
            Elementwise("b", (Store("b.y", fn("tanh", fn("add", Load("b.j"), Load("b.k")))),)),
            Elementwise("a", (Store("a.x", fn("tanh", Load("a.back"))),)),
            Elementwise("a", (Store("a.s", fn("gt", fn("sin", fn("mul", 9, Load("a.x"))), 0.2)),)),
        ),
        phase="run",
    )
    sums = (
        Sum("g", (Product("a.s", "b.y", binary_pre=True), Product("a.x", "b.y", Const(0.1)))),
        Sum("d", (Product(None, "b.y", Load("W.w")), Product("a.x", None), Product(None, None))),
    )
    ends = fn("add", fn("mul", 100, Index(side="pre")), Index(side="post"))
    change = fn("add", Load("W.w"), fn("mul", 0.01, fn("add", Local("g"), Local("d"))))
    learn = (
        Copy("W.old", "W.w"),
        SynapseUpdate("W", sums, (Store("W.w", change), Store("W.ends", ends))),
        SynapseUpdate(
            "S",
            (Sum("g", (Product("a.s", "b.y", binary_pre=True), Product("a.s", None))),),
            (Store("S.w", fn("clip", fn("sub", Load("S.w"), Local("g")), -0.5, 0.5)),),
            pre_slice=pre,
            post_slice=post,
        ),
        SynapseUpdate("D", (), (Store("D.w", fn("mul", 0.9, Load("D.w"))),)),
    )
    made = program(
        "deliveries",
        {"a": m, "b": n},
        shapes,
        buffers,
        [run, Routine("learn", "update", once=learn)],
    )
    return as_edges(made, density)


# (routine, steps, first, last) for `deliveries`.
DELIVERY_CALLS = (("run", 3, 0, None), ("learn", 0, 0, None), ("run", 2, 0, None)) * 2
