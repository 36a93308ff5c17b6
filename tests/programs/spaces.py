"""Step programs over every space: single numbers, rows, pairs of rows, neurons, synapses."""

from __future__ import annotations

from dataclasses import replace

from netdsl.ir.expr import Const, Index, Load, Local
from netdsl.ir.network import Draw, Place, Type
from netdsl.ir.program import (
    Bind,
    Copy,
    Each,
    Edges,
    Elementwise,
    Fill,
    Guarded,
    Op,
    Product,
    Program,
    Push,
    Reduction,
    Routine,
    RowSum,
    Store,
    Sum,
    SynapseUpdate,
)
from netdsl.ir.space import OTHER, ROW, edge, neuron
from tests.programs.parts import buffer, fn, program

A, B, W = neuron("a"), neuron("b"), edge("W")
SPACE_CALLS = (("run", 2, 0, None), ("learn", 0, 0, None)) * 2


def pre(name: str) -> Load:
    """A value of the synapse's presynaptic neuron."""
    return Load(name, side="pre")


def post(name: str) -> Load:
    """A value of the synapse's postsynaptic neuron."""
    return Load(name, side="post")


def _buffers() -> list[object]:
    unit = [("a.x", "a"), ("b.y", "b"), ("a.out", "a"), ("b.in", "b"), ("b.most", "b")]
    return [
        *(buffer(name, Place.UNIT, owner) for name, owner in unit),
        buffer("a.s", Place.UNIT, "a", type=Type.BOOL),
        buffer("b.s", Place.UNIT, "b", type=Type.BOOL),
        buffer("a.late", Place.NEURON, "a"),
        buffer("b.theta", Place.NEURON, "b"),
        buffer("b.on", Place.NEURON, "b", type=Type.BOOL),
        buffer("b.degree", Place.NEURON, "b"),
        buffer("a.low", Place.NEURON, "a"),
        buffer("reward", Place.ROW),
        buffer("loss", Place.ROW),
        buffer("near", Place.ROW),
        buffer("gain", Place.GLOBAL),
        buffer("total", Place.GLOBAL),
        buffer("biggest", Place.GLOBAL),
        buffer("K", Place.PAIR),
        buffer("D", Place.PAIR),
        buffer("ahead", Place.PAIR),
        buffer("b.last", Place.NEURON, "b"),
        buffer("last", Place.ROW),
        buffer("far", Place.ROW),
        buffer("W.w", Place.SYNAPSE, "W", "weight"),
        buffer("W.dw", Place.SYNAPSE, "W", "accumulator"),
        buffer("W.ends", Place.SYNAPSE, "W"),
        buffer("W.any", Place.SYNAPSE, "W"),
        buffer("W.e", Place.ROW_SYNAPSE, "W"),
        buffer("W.old", Place.ROW_SYNAPSE, "W"),
    ]


def _cells() -> tuple[Op, ...]:
    drive = fn("add", fn("mul", 0.5, Load("b.in")), fn("sub", Load("b.y"), Load("b.theta")))
    return (
        Elementwise("b", (Store("b.y", fn("tanh", drive)),)),
        Elementwise("b", (Store("b.s", fn("gt", fn("sin", fn("mul", 9, Load("b.y"))), 0.1)),)),
        Elementwise("a", (Store("a.s", fn("gt", fn("sin", fn("mul", 7, Load("a.x"))), 0.2)),)),
        Elementwise("a", (Store("a.x", fn("cos", fn("add", Load("a.x"), Load("a.out")))),)),
    )


def _traces() -> tuple[Op, ...]:
    """Values of each sample at each synapse."""
    decayed = fn("mul", Load("gain"), Load("W.e"))
    driven = fn("mul", pre("a.x"), fn("sub", post("b.y"), post("b.theta")))
    return (
        Copy("W.old", "W.e"),
        Each(
            (ROW, W),
            (
                Bind("psi", driven),
                Bind("psi", fn("mul", Local("psi"), Load("reward"))),
                Store("W.e", fn("add", decayed, Local("psi"))),
                Store("W.e", fn("add", Load("W.e"), fn("mul", 0.1, Load("W.old")))),
            ),
        ),
        Reduction("b.in", "sum", fn("mul", Load("W.w"), pre("a.x")), (W,), "post"),
        Reduction("b.most", "max", fn("add", pre("a.x"), Load("W.w")), (W,), "post"),
        Reduction("a.out", "mean", fn("mul", Load("W.e"), post("b.y")), (W,), "pre"),
    )


def newest(name: str) -> Load:
    """A value of the last row."""
    return Load(name, side="newest")


def _newest() -> tuple[Op, ...]:
    ahead = fn("sub", newest("reward"), Load("loss", side="other"))
    return (
        Each((B,), (Store("b.last", fn("add", newest("b.y"), Load("b.theta"))),)),
        Each((ROW,), (Store("last", fn("sub", Load("reward"), newest("reward"))),)),
        Reduction("far", "sum", fn("mul", newest("b.y"), Load("b.y")), (B,)),
        Each((ROW, OTHER), (Store("ahead", fn("mul", ahead, Load("K"))),)),
        Reduction("b.most", "mean", fn("sub", newest("b.y"), Load("b.y", side="other")), (OTHER,)),
    )


def _rows() -> tuple[Op, ...]:
    difference = fn("sub", Load("b.y"), Load("b.y", side="other"))
    return (
        Reduction("loss", "mean", fn("mul", Load("b.y"), Load("b.y")), (B,)),
        Each((ROW,), (Bind("l", Load("loss")), Store("reward", fn("tanh", Local("l"))))),
        Reduction("D", "sum", fn("mul", difference, difference), (B,)),
        Each(
            (ROW, OTHER),
            (
                Bind("same", fn("eq", Load("reward"), Load("reward", side="other"))),
                Store("K", fn("mul", fn("exp", fn("neg", Load("D"))), fn("add", 1, Local("same")))),
            ),
        ),
        Reduction("near", "max", fn("mul", Load("K"), Load("loss", side="other")), (OTHER,)),
        Reduction("total", "sum", Load("near"), (ROW,)),
        Reduction("biggest", "min", Load("W.w"), (W,)),
        Each(
            (),
            (
                Bind("half", fn("mul", 0.5, Load("gain"))),
                Store("gain", fn("add", Local("half"), 0.3)),
                Bind("half", fn("tanh", Load("gain"))),
                Store("total", fn("add", Load("total"), Local("half"))),
            ),
        ),
    )


def _neurons() -> tuple[Op, ...]:
    return (
        Each((A,), (Store("a.late", fn("add", fn("mul", 0.9, Load("a.late")), Index())),)),
        Reduction("b.theta", "mean", Load("b.y"), (ROW,)),
        Each((B,), (Store("b.on", fn("lt", Load("b.theta"), 0.05)),)),
        Reduction("b.degree", "sum", fn("mul", pre("a.late"), Const(0.01)), (W,), "post"),
        Reduction("a.low", "min", fn("sub", Load("W.w"), post("b.theta")), (W,), "pre"),
    )


def _learning() -> tuple[Op, ...]:
    step = fn("mul", 0.01, fn("sub", pre("a.x"), fn("mul", Load("W.w"), Load("gain"))))
    ends = fn("add", fn("mul", 100, Index(side="pre")), Index(side="post"))
    return (
        Fill("W.dw", 0.0),
        Each((W,), (Store("W.ends", fn("add", ends, fn("mul", pre("a.late"), post("b.theta")))),)),
        # Spikes of each row, rows in order: the second sees what the first made of the weight.
        Guarded((ROW, W), "post", "b.s", (Store("W.w", fn("add", Load("W.w"), step)),)),
        Guarded(
            (ROW, W),
            "pre",
            "a.s",
            (
                Bind("d", fn("mul", post("b.y"), Load("W.e"))),
                Store("W.dw", fn("sub", Load("W.dw"), Local("d"))),
            ),
        ),
        Guarded((ROW, W), "pre", "a.s", (Store("W.e", fn("mul", 0.5, Load("W.e"))),)),
        Guarded((W,), "post", "b.on", (Store("W.w", fn("mul", 0.98, Load("W.w"))),)),
        Each((ROW, W), (Store("W.w", fn("add", Load("W.w"), fn("mul", 1e-3, Load("W.e")))),)),
        Reduction("W.any", "any", fn("gt", Load("W.e"), fn("mul", 0.5, pre("a.x"))), (ROW,)),
        Each((W,), (Store("W.w", fn("add", Load("W.w"), fn("mul", 0.1, Load("W.dw")))),)),
    )


def spaces(m: int = 7, n: int = 5, density: float | None = None) -> Program:
    """Every space and operation over spaces; with `density` the synapses are a list."""
    run = Routine(
        "run", "phase", step=(*_traces(), *_cells(), *_rows(), *_newest(), *_neurons()), phase="run"
    )
    learn = Routine("learn", "update", once=_learning())
    made = program("spaces", {"a": m, "b": n}, {"W": (m, n)}, _buffers(), [run, learn])  # type: ignore[arg-type]
    if density is None:
        return made
    mask = Draw("connect:sparse:bernoulli", (Const(density), Const(True)), "W.mask")
    return replace(made, layouts={"W": Edges(mask, density)})


def summed(density: float | None = None) -> Program:
    """A learning pass with sums over rows of values at synapses beside its products."""
    base = spaces(density=density)
    ends = (("a.x", "b.y"), ("a.s", None), (None, "b.y"), (None, None))
    last = [Product(*pair, Const(0.5), newest=True) for pair in ends] if density is None else []
    total = Sum(
        "g",
        (Product("a.x", "b.y"), *last),
        (RowSum(fn("mul", Load("W.e"), Load("reward"))), RowSum(fn("gt", pre("a.x"), post("b.y")))),
    )
    only = Sum("h", (), (RowSum(fn("mul", Load("gain"), Load("W.e"))),))
    change = fn("mul", 0.01, fn("sub", Local("g"), Local("h")))
    update = SynapseUpdate(
        "W",
        (total, only),
        (Store("W.w", fn("add", Load("W.w"), change)),),
        before=(Store("gain", fn("add", Load("gain"), 0.25)),),
    )
    learn = Routine("learn", "update", once=(*_learning(), update))
    return replace(base, routines={**base.routines, "learn": learn})


def late(density: float | None = None) -> Program:
    """Operations over every space that read slots of rings, also slots found as they run."""
    base = spaces(density=density)
    slots = {"a.x": 3, "reward": 2, "b.theta": 3, "gain": 4, "b.s": 2, "a.late": 2}
    slots |= {} if density else {"W.w": 2, "W.e": 2}
    held = {
        f"{name}@past": replace(base.buffers[name], name=f"{name}@past", slots=count)
        for name, count in slots.items()
    }
    moving = fn("mod", Load("phase.step"), 3.0)
    weight = Load("W.w") if density else Load("W.w@past", ago=1)
    trace = Load("W.e") if density else Load("W.e@past", ago=1)
    driven = fn(
        "mul", Load("a.x@past", side="pre", ago=2), Load("b.theta@past", side="post", ago=moving)
    )
    apart = fn("sub", Load("reward@past", ago=1), Load("reward@past", side="other"))
    step = fn("mul", 0.1, Load("a.x@past", side="pre", ago=1))
    ops: tuple[Op, ...] = (
        *(Push(f"{name}@past", name) for name in slots),
        Each((ROW, W), (Store("W.e", fn("add", driven, fn("mul", 0.5, trace))),)),
        Reduction(
            "b.in", "sum", fn("mul", weight, Load("a.x@past", side="pre", ago=1)), (W,), "post"
        ),
        Each((ROW, OTHER), (Store("K", apart),)),
        Guarded((ROW, W), "post", "b.s", (Store("W.w", fn("add", Load("W.w"), step)),)),
        Each((A,), (Store("a.late", fn("tanh", fn("add", Load("a.late@past", ago=1), 0.2))),)),
        Each(
            (ROW,),
            (Store("loss", fn("mul", Load("reward@past", ago=1), Local("old"))),),
            (Bind("old", Load("gain@past", ago=moving)),),
        ),
        Each((), (Store("gain", fn("mul", 0.9, Load("gain@past", ago=3))),)),
        Reduction("total", "sum", Load("reward@past", ago=1), (ROW,)),
        Reduction("b.theta", "mean", Load("b.s@past", ago=1), (ROW,)),
    )
    run = Routine("run", "phase", step=(*ops, *_cells()), phase="run")
    return replace(base, buffers={**base.buffers, **held}, routines={"run": run})
