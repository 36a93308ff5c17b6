"""Step programs made by hand: together they use every operation, statement and primitive.

Backends are tested against `tests.interpreter` on these. `PROGRAMS` maps a name to a builder;
`initial_values` gives build-time arrays, `CALLS` the routine calls that exercise a program.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np

from netdsl.codegen.places import shape_of
from netdsl.ir.expr import Apply, Const, Expr, Index, Load, Local
from netdsl.ir.functions import FUNCTIONS
from netdsl.ir.network import Place, Type
from netdsl.ir.program import (
    Bind,
    Buffer,
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
    Statement,
    Store,
    Sum,
    SynapseUpdate,
    Transpose,
)

ROWS = 6
KEYS = np.arange(1, ROWS + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)


def fn(name: str, *args: Expr | float) -> Expr:
    """`Apply` with numbers wrapped."""
    return Apply(name, tuple(a if isinstance(a, Expr) else Const(a) for a in args))


def buffer(name: str, place: Place, owner: str = "", role: str = "state", **more: object) -> Buffer:
    """A buffer, REAL unless said otherwise."""
    return Buffer(name, place, owner, role, **more)  # type: ignore[arg-type]


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


def _result(name: str, args: tuple[Expr, ...]) -> Expr:
    """A primitive applied so that its arguments lie in its domain and its result is finite."""
    if name in ("log", "sqrt"):
        return fn(name, fn("add", fn("abs", args[0]), 0.5))
    if name == "pow":
        return fn(name, fn("add", fn("abs", args[0]), 0.5), args[1])
    if name == "logit":
        return fn(name, fn("sigmoid", args[0]))
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


PROGRAMS: dict[str, Callable[[], Program]] = {
    "three_factor": three_factor,
    "relaxation": relaxation,
    "functions": functions,
    "draws": draws,
}

# (routine, steps, first, last) in order; routines without steps have 0.
CALLS: dict[str, tuple[tuple[str, int, int, int | None], ...]] = {
    "three_factor": (
        ("reset:h1", 0, 0, None),
        ("train.1", 12, 0, 5),
        ("train.1", 12, 5, None),
        ("reset:h1", 0, 0, None),
        ("test.1", 6, 0, None),
    ),
    "relaxation": (
        ("train.free", 7, 0, None),
        ("train.nudged", 4, 0, None),
        ("train.update", 0, 0, None),
        ("train.set", 0, 0, None),
        ("train.free", 3, 0, None),
    ),
    "functions": (("all", 0, 0, None),),
    "draws": (("run.1", 3, 0, None),),
}


def initial_values(program: Program, rows: int = ROWS, seed: int = 1) -> dict[str, np.ndarray]:
    """Values for every buffer: uniform in (-1, 1), probabilities and labels in their ranges."""
    rng = np.random.default_rng(seed)
    values = {}
    for name, entry in program.buffers.items():
        shape = shape_of(name, program, rows)
        value = rng.uniform(-1, 1, shape)
        if name.rsplit(".", 1)[-1] in ("p", "prob", "bias", "level", "thr0", "gain"):
            value = np.abs(value) * 0.4 + 0.1
        if entry.type is not Type.REAL:
            value = (value > 0).astype(float)
        if entry.role in ("counter", "optimiser"):
            value = np.zeros(shape)
        values[name] = value
    if "batch.rows" in values:
        values["batch.rows"] = np.float64(rows)
    if "sample.positive" in values:
        values["sample.positive"] = np.arange(rows) % 2.0
    return {name: np.asarray(value, np.float64) for name, value in values.items()}
