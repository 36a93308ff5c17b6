"""A spiking layer with a three-factor rule, Adam and everything that follows an update."""

from __future__ import annotations

from netdsl.ir.expr import Const, Load, Local
from netdsl.ir.network import Place, Type
from netdsl.ir.program import (
    Bind,
    Copy,
    DrawStore,
    Elementwise,
    Fill,
    Op,
    Product,
    Program,
    Propagate,
    Routine,
    RowReduce,
    Store,
    Sum,
    SynapseUpdate,
)
from tests.programs.parts import adam, buffer, fn, program


def three_factor(n_in: int = 7, n: int = 5) -> Program:
    """Bernoulli inputs, a spiking layer with traces and a modulator, a rule with Adam and decay."""
    buffers = [
        buffer("img.p", Place.UNIT, "img", "input"),
        buffer("img.s", Place.UNIT, "img", type=Type.BOOL),
        buffer("img.s@prev", Place.UNIT, "img", "snapshot", type=Type.BOOL),
        buffer("sample.positive", Place.ROW, "", "sample"),
        buffer("batch.rows", Place.GLOBAL, "", "counter"),
        buffer("h1.thr0", Place.NEURON, "h1", "parameter"),
        buffer("h1.j", Place.UNIT, "h1", "input"),
        buffer("h1.v", Place.UNIT, "h1"),
        buffer("h1.thr", Place.UNIT, "h1"),
        buffer("h1.s", Place.UNIT, "h1", type=Type.BOOL),
        buffer("h1.z", Place.UNIT, "h1"),
        buffer("h1.s@count:run", Place.UNIT, "h1", "accumulator"),
        buffer("good.h1", Place.ROW, "h1"),
        buffer("h1.modulated", Place.UNIT, "h1", "scratch"),
        buffer("W1.w", Place.SYNAPSE, "W1", "weight"),
        buffer("W1.dw", Place.SYNAPSE, "W1", "recording"),
        buffer("W1.adam.m", Place.SYNAPSE, "W1", "optimiser"),
        buffer("W1.adam.v", Place.SYNAPSE, "W1", "optimiser"),
        buffer("W1.adam.n", Place.GLOBAL, "W1", "optimiser"),
    ]
    spikes = RowReduce("good.h1", "sum", Load("h1.s"))  # the spike count, before the modulator
    cells = Elementwise(
        "h1",
        (
            Bind(
                "u",
                fn(
                    "add",
                    Load("h1.v"),
                    fn("mul", Local("dt_tau"), fn("sub", Load("h1.j"), Load("h1.v"))),
                ),
            ),
            Store("h1.s", fn("gt", Local("u"), Load("h1.thr"))),
            Store("h1.v", fn("select", Load("h1.s"), 0, Local("u"))),
            spikes,
            Store(
                "h1.thr",
                fn(
                    "max",
                    fn("add", Load("h1.thr"), fn("mul", 0.01, fn("sub", Load("good.h1"), 1))),
                    0.025,
                ),
            ),
            Store("h1.z", fn("select", Load("h1.s"), 1, fn("mul", 10 / 13, Load("h1.z")))),
            Store("h1.s@count:run", fn("add", Load("h1.s@count:run"), Load("h1.s"))),
            RowReduce("good.h1", "sum", fn("mul", Load("h1.z"), Load("h1.z"))),
            Store(
                "good.h1",
                fn(
                    "mul",
                    fn("div", 2, Load("batch.rows")),
                    fn(
                        "sub",
                        fn("sigmoid", fn("sub", Load("good.h1"), 1.5)),
                        Load("sample.positive"),
                    ),
                ),
            ),
            Store("h1.modulated", fn("mul", fn("neg", Load("good.h1")), Load("h1.z"))),
        ),
        scalars=(Bind("dt_tau", fn("div", 3.0, 100.0 / 5)),),
        label="h1",
    )
    before, scalars, optimise, change = adam("W1.adam", Local("g"), 0.01)
    learn = SynapseUpdate(
        "W1",
        (
            Sum("g", (Product("img.s@prev", "h1.modulated", binary_pre=True),)),
            Sum(
                "decay",
                (
                    Product(None, "h1.s", Const(0.001)),
                    Product("img.s@prev", "h1.s", Const(-0.001), binary_pre=True),
                ),
            ),
        ),
        (
            Store("W1.dw", Local("g")),
            *optimise,
            Store("W1.w", fn("add", Load("W1.w"), change)),
            Store("W1.w", fn("sub", Load("W1.w"), Local("decay"))),
            Store("W1.w", fn("clip", Load("W1.w"), -1, 1)),
        ),
        before,
        scalars,
        label="W1",
    )
    step: tuple[Op, ...] = (
        Copy("img.s@prev", "img.s"),
        Elementwise("img", (DrawStore("img.s", "bernoulli", (Load("img.p"),), "img.s"),)),
        Propagate("W1", "W1.w", "img.s@prev", "h1.j", Const(0.5), accumulate=False, binary=True),
        cells,
    )
    run = {"once": (Fill("h1.s@count:run", 0.0),), "phase": "run"}
    return program(
        "three_factor",
        {"img": n_in, "h1": n},
        {"W1": (n_in, n)},
        buffers,
        [
            Routine(
                "reset:h1",
                "reset",
                once=(
                    Fill("h1.v", 0.0),
                    Fill("h1.z", 0.0),
                    Fill("img.s", 0.0),
                    Elementwise("h1", (Store("h1.thr", Load("h1.thr0")),)),
                ),
            ),
            Routine("train.1", "phase", step=(*step, learn), **run),  # type: ignore[arg-type]
            Routine("test.1", "phase", step=step, **run),  # type: ignore[arg-type]
        ],
    )
