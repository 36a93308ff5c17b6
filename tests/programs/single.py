"""Every primitive function, and every distribution."""

from __future__ import annotations

from netdsl.ir.expr import Const, Expr, Index, Load
from netdsl.ir.functions import FUNCTIONS
from netdsl.ir.network import Place
from netdsl.ir.program import (
    Bind,
    DrawStore,
    Elementwise,
    Program,
    Routine,
    RowReduce,
    Statement,
    Store,
    SynapseUpdate,
)
from tests.programs.parts import buffer, fn, program


def _result(name: str, args: tuple[Expr, ...]) -> Expr:
    """A primitive applied so that its arguments lie in its domain and its result is finite."""
    if name in ("log", "log2", "log10", "log1p", "sqrt", "reciprocal"):
        return fn(name, fn("add", fn("abs", args[0]), 0.5))
    if name == "pow":
        return fn(name, fn("add", fn("abs", args[0]), 0.5), args[1])
    if name == "logit":
        return fn(name, fn("sigmoid", args[0]))
    if name in ("tan", "asin", "acos"):
        return fn(name, fn("tanh", fn("mul", 0.5, args[0])))
    if name in ("div", "mod", "floordiv"):
        return fn(name, args[0], fn("add", fn("abs", args[1]), 0.75))
    if name in ("and", "or", "not"):
        return fn(name, *(fn("gt", arg, 0.1) for arg in args))
    if name == "select":
        return fn(name, fn("gt", args[0], 0.1), args[1], args[2])
    return fn(name, *args)


def functions(n: int = 5, m: int = 3) -> Program:
    """Every primitive over values of every place."""
    pool: dict[Place, tuple[Expr, ...]] = {
        Place.UNIT: (Load("p.a"), Load("p.b"), Load("p.n")),
        Place.ROW: (Load("p.row"), Load("p.row2"), Load("p.row")),
        Place.NEURON: (Load("p.n"), fn("sub", Index(), 1.5), Load("p.n")),
        Place.GLOBAL: (Load("g"), Const(0.7), Load("g2")),
        Place.SYNAPSE: (Load("W.w"), Load("W.c"), fn("sub", Index(side="pre"), 1)),
    }
    buffers = [
        *(buffer(f"p.{x}", Place.UNIT, "p") for x in "ab"),
        *(buffer(f"p.{x}", Place.ROW, "p") for x in ("row", "row2")),
        buffer("p.n", Place.NEURON, "p", "parameter"),
        buffer("g", Place.GLOBAL),
        buffer("g2", Place.GLOBAL),
        *(buffer(f"W.{x}", Place.SYNAPSE, "W") for x in "wc"),
    ]
    cells: list[Statement] = []
    synapses: list[Bind | Store] = []
    for place, args in pool.items():
        for name, function in FUNCTIONS.items():
            synaptic = place is Place.SYNAPSE
            target = f"{'W' if synaptic else 'p'}.{place.value}.{name}"
            home = place if place is Place.ROW or synaptic else Place.UNIT
            buffers.append(buffer(target, home, "W" if synaptic else "p"))
            store = Store(target, _result(name, args[: function.arity]))
            (synapses if synaptic else cells).append(store)
    return program(
        "functions",
        {"q": m, "p": n},
        {"W": (m, n)},
        buffers,
        [
            Routine(
                "all",
                "update",
                once=(Elementwise("p", tuple(cells)), SynapseUpdate("W", (), tuple(synapses))),
            ),
        ],
    )


def draws(n: int = 9) -> Program:
    """Every distribution and every reduction over a population."""
    buffers = [
        buffer("p.prob", Place.UNIT, "p"),
        buffer("p.bias", Place.NEURON, "p", "parameter"),
        buffer("p.row", Place.ROW, "p"),
        buffer("level", Place.GLOBAL),
        *(buffer(f"p.{name}", Place.UNIT, "p") for name in ("s", "s2", "s3", "u", "u2", "z", "k")),
        *(
            buffer(f"p.{kind}", Place.ROW, "p")
            for kind in ("sum", "mean", "max", "min", "any", "none", "wide", "once")
        ),
    ]
    statements: tuple[Statement, ...] = (
        DrawStore("p.s", "bernoulli", (Load("p.prob"),), "p.s"),
        DrawStore("p.s2", "bernoulli", (Load("p.bias"),), "p.s2"),
        DrawStore("p.s3", "bernoulli", (Load("level"),), "p.s3"),
        DrawStore("p.u", "uniform", (Const(-1.0), Const(2.0)), "p.u"),
        DrawStore("p.u2", "uniform", (Load("p.row"), fn("add", Load("p.bias"), 3)), "p.u2"),
        DrawStore("p.z", "normal", (Load("p.bias"), Load("level")), "p.z"),
        DrawStore("p.k", "integer", (Const(2), Const(9)), "p.k"),
        DrawStore("p.once", "uniform", (Const(0.0), Const(1.0)), "p.once"),
        RowReduce("p.sum", "sum", fn("mul", Load("p.s"), Load("p.u"))),
        RowReduce("p.mean", "mean", Load("p.z")),
        RowReduce("p.max", "max", Load("p.u2")),
        RowReduce("p.min", "min", Load("p.u")),
        RowReduce("p.any", "any", fn("gt", Load("p.u"), 1.7)),
        RowReduce("p.none", "any", fn("gt", Load("p.u"), 2.5)),
        RowReduce("p.wide", "sum", fn("add", Load("p.row"), Load("level"))),
    )
    return program(
        "draws",
        {"p": n},
        {},
        buffers,
        [
            Routine("run.1", "phase", step=(Elementwise("p", statements),), phase="run"),
        ],
    )
