"""A network that relaxes in phases: snapshots, transposes, slices, copies."""

from __future__ import annotations

from netdsl.ir.expr import Const, Index, Load, Local
from netdsl.ir.network import Place, Type
from netdsl.ir.program import (
    Bind,
    Copy,
    Elementwise,
    Op,
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


def relaxation(n_in: int = 4, n: int = 6, n_out: int = 3) -> Program:
    """A rate network: tied feedback, slices, a lateral rule with indices, settled updates."""
    buffers = [
        buffer("x.r", Place.UNIT, "x"),
        buffer("h.r", Place.UNIT, "h"),
        buffer("h.r@free", Place.UNIT, "h", "snapshot"),
        buffer("h.ff", Place.UNIT, "h", "input"),
        buffer("h.fb", Place.UNIT, "h", "input"),
        buffer("h.lat", Place.UNIT, "h", "input"),
        buffer("h.b", Place.NEURON, "h", "parameter"),
        buffer("y.r", Place.UNIT, "y"),
        buffer("y.in", Place.UNIT, "y", "input"),
        buffer("sample.label", Place.ROW, "", "sample", type=Type.COUNT),
        buffer("nudge", Place.GLOBAL, "", "control"),
        buffer("gain", Place.GLOBAL, "", "control"),
        buffer("Wff.w", Place.SYNAPSE, "Wff", "weight"),
        buffer("Wout.w", Place.SYNAPSE, "Wout", "weight"),
        buffer("Wout.back", Place.SYNAPSE, "Wback", "weight"),
        buffer("L.w", Place.SYNAPSE, "L", "weight"),
        buffer("S.w", Place.SYNAPSE, "S", "weight"),
    ]
    target = fn("eq", Index(), Load("sample.label"))
    step: tuple[Op, ...] = (
        Propagate("Wout", "Wout.w", "y.r", "h.fb", Load("gain"), accumulate=False, transposed=True),
        Propagate("L", "L.w", "h.r", "h.lat", Const(-0.1), accumulate=False),
        Propagate("S", "S.w", "h.r", "h.lat", None, pre_slice=(1, 4), post_slice=(2, 6)),
        Propagate(
            "S",
            "S.w",
            "h.r",
            "h.lat",
            Const(0.25),
            transposed=True,
            pre_slice=(1, 4),
            post_slice=(2, 6),
        ),
        Elementwise(
            "h",
            (
                Bind(
                    "drive",
                    fn(
                        "add",
                        fn("add", Load("h.ff"), Load("h.fb")),
                        fn("add", Load("h.lat"), Load("h.b")),
                    ),
                ),
                Store(
                    "h.r",
                    fn(
                        "clip",
                        fn(
                            "add",
                            Load("h.r"),
                            fn("mul", Local("rate"), fn("sub", Local("drive"), Load("h.r"))),
                        ),
                        0,
                        1,
                    ),
                ),
            ),
            scalars=(Bind("rate", fn("div", 0.5, fn("add", 1, fn("mul", 0.1, Load("t"))))),),
        ),
        Propagate("Wout", "Wout.w", "h.r", "y.in", None, accumulate=False),
        Elementwise(
            "y",
            (
                Store(
                    "y.r",
                    fn(
                        "add",
                        Load("y.in"),
                        fn("mul", Load("nudge"), fn("sub", target, Load("y.r"))),
                    ),
                ),
            ),
        ),
    )
    lateral = SynapseUpdate(
        "L",
        (
            Sum(
                "hh",
                (
                    Product("h.r", "h.r", fn("sub", 1, fn("abs", Load("L.w")))),
                    Product("h.r@free", "h.r@free", Const(-1.0)),
                    Product("h.r", None, fn("mul", 0.01, Index(side="post"))),
                ),
            ),
        ),
        (
            Bind("old", Load("L.w")),
            Store("L.w", fn("add", fn("mul", 0.99, Load("L.w")), fn("mul", 0.1, Local("hh")))),
            Store(
                "L.w",
                fn(
                    "select",
                    fn("eq", Index(side="pre"), Index(side="post")),
                    0,
                    fn("min", Load("L.w"), fn("add", Local("old"), 0.5)),
                ),
            ),
        ),
    )
    out = SynapseUpdate(
        "Wout",
        (Sum("g", (Product("h.r", "y.r"), Product(None, None))),),
        (Store("Wout.w", fn("add", Load("Wout.w"), fn("mul", Local("eta"), Local("g")))),),
        scalars=(Bind("eta", fn("div", 0.1, Load("gain"))),),
    )
    sliced = SynapseUpdate(
        "S",
        (Sum("g", (Product("h.r", "h.r"),)),),
        (Store("S.w", fn("sub", Load("S.w"), fn("mul", 0.01, Local("g")))),),
        pre_slice=(1, 4),
        post_slice=(2, 6),
    )
    return program(
        "relaxation",
        {"x": n_in, "h": n, "y": n_out},
        {"Wff": (n_in, n), "Wout": (n, n_out), "Wback": (n_out, n), "L": (n, n), "S": (3, 4)},
        buffers,
        [
            Routine(
                "train.free",
                "phase",
                phase="free",
                once=(Propagate("Wff", "Wff.w", "x.r", "h.ff", None, accumulate=False),),
                step=step,
                after=(Copy("h.r@free", "h.r"),),
            ),
            Routine("train.nudged", "phase", phase="nudged", step=step),
            Routine("train.update", "update", once=(lateral, out, sliced)),
            Routine("train.set", "set", once=(Transpose("Wout.back", "Wout.w"),)),
        ],
    )
