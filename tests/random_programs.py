"""Small random programs, for hypothesis, over few buffers.

`programs`: one Elementwise and one SynapseUpdate. `phases`: several routines of every operation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from hypothesis import strategies as st

from netdsl.ir.expr import Apply, Const, Expr, Index, Load, Local
from netdsl.ir.network import Place
from netdsl.ir.program import (
    Bind,
    Copy,
    Elementwise,
    Fill,
    GroupReduce,
    Op,
    Product,
    Program,
    Propagate,
    Push,
    Routine,
    RowReduce,
    Statement,
    Store,
    Sum,
    SynapseUpdate,
)
from netdsl.ir.roles import renamed
from tests.programs import buffer, fn, program
from tests.trees import trees

# Functions that keep values moderate whatever their arguments; the others are tested one by one.
_SMOOTH = (
    ("add", 2),
    ("sub", 2),
    ("mul", 2),
    ("neg", 1),
    ("min", 2),
    ("max", 2),
    ("abs", 1),
    ("tanh", 1),
    ("sin", 1),
    ("sigmoid", 1),
    ("relu", 1),
    ("clip", 3),
    ("select", 3),
    ("sign", 1),
    ("floor", 1),
)
_TRUTH = (("lt", 2), ("ge", 2), ("eq", 2), ("ne", 2), ("and", 2), ("or", 2), ("not", 1))


def _form(name: str) -> Callable[..., Expr]:
    def make(*args: Expr) -> Expr:
        made = Apply(name, args)
        return fn("tanh", made) if name in ("mul", "add", "sub") else made

    return make


FORMS = (
    *((arity, _form(name)) for name, arity in (*_SMOOTH, *_TRUTH)),
    (1, lambda arg: fn("tanh", fn("pow", arg, 2))),
)
CONSTANTS = tuple(map(Const, (0.0, 1.0, -1.0, 0.5, -0.3, 2.0)))


def expressions(names: list[str], locals: list[str], *others: Expr) -> st.SearchStrategy[Expr]:
    """Trees over reads of buffers, bound names, others and constants; truth values appear as
    operands of everything."""
    leaves = (*map(Load, names), *map(Local, locals), *others, *CONSTANTS)
    return trees(leaves, FORMS, most=8)


@st.composite
def cells(draw: st.DrawFn) -> tuple[Statement, ...]:
    """Statements of an Elementwise over buffers u0..u2, r0, r1, n0, g0."""
    statements: list[Statement] = []
    bound: list[str] = []
    for _ in range(draw(st.integers(1, 7))):
        kind = draw(st.sampled_from(["bind", "store", "store", "row", "reduce"]))
        names = ["r0", "r1", "g0"] if kind == "row" else ["u0", "u1", "u2", "r0", "n0", "g0"]
        row = kind == "row"
        value = draw(expressions(names, [] if row else bound, *([] if row else [Index()])))
        if kind == "bind":
            name = draw(st.sampled_from(["x", "y", "z"]))
            statements.append(Bind(name, value))
            bound = sorted({*bound, name})
        elif kind == "store":
            statements.append(Store(draw(st.sampled_from(["u0", "u1", "u2"])), value))
        elif kind == "row":
            statements.append(Store(draw(st.sampled_from(["r0", "r1"])), value))
        else:
            how = draw(st.sampled_from(["sum", "mean", "max", "min", "any"]))
            statements.append(RowReduce(draw(st.sampled_from(["r0", "r1"])), how, value))
            bound = []  # no name crosses a reduction
    return tuple(statements)


@st.composite
def synapses(draw: st.DrawFn) -> SynapseUpdate:
    """A SynapseUpdate of projection W over w0, w1 with up to two sums."""
    sides = st.tuples(st.sampled_from([None, "q0"]), st.sampled_from([None, "u0", "u1"]))
    indices: list[Expr] = [Index(side="pre"), Index(side="post")]
    factor = st.one_of(st.none(), expressions(["w0", "w1", "g0"], [], *indices))
    sums = []
    for name in ("a", "b")[: draw(st.integers(0, 2))]:
        terms = draw(st.lists(st.tuples(sides, factor), min_size=1, max_size=3))
        products = tuple(Product(pre, post, f) for (pre, post), f in terms)
        sums.append(Sum(name, products))
    bound = [total.name for total in sums]
    statements: list[Bind | Store] = []
    for _ in range(draw(st.integers(1, 5))):
        value = draw(expressions(["w0", "w1", "g0"], bound, *indices))
        if draw(st.booleans()):
            statements.append(Store(draw(st.sampled_from(["w0", "w1"])), value))
        else:
            name = draw(st.sampled_from(["x", "y"]))
            statements.append(Bind(name, value))
            bound = sorted({*bound, name})
    return SynapseUpdate("W", tuple(sums), tuple(statements))


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """A program with one routine, "go"."""
    buffers = [
        *(buffer(f"u{k}", Place.UNIT, "p") for k in range(3)),
        *(buffer(f"r{k}", Place.ROW, "p") for k in range(2)),
        buffer("n0", Place.NEURON, "p"),
        buffer("q0", Place.UNIT, "q"),
        buffer("g0", Place.GLOBAL),
        *(buffer(f"w{k}", Place.SYNAPSE, "W") for k in range(2)),
    ]
    once = (Elementwise("p", draw(cells())), draw(synapses()))
    return program(
        "random", {"q": 3, "p": 4}, {"W": (3, 4)}, buffers, [Routine("go", "update", once=once)]
    )


@st.composite
def operations(draw: st.DrawFn) -> Op:
    """One operation over the buffers of `phases`."""
    unit = st.sampled_from(["u0", "u1", "u2", "s0", "s1", "s2"])
    kind = draw(st.sampled_from(["cells", "cells", "cells", "synapses", "send", "back", "copy",
                                 "fill", "group", "push"]))  # fmt: skip
    if kind == "cells":
        statements = draw(cells())
        spare = draw(st.dictionaries(st.sampled_from(["u0", "u1"]), st.sampled_from(["s0", "s1"])))
        op = Elementwise("p", statements)
        return renamed(op, lambda name: spare.get(name, name))
    if kind == "synapses":
        return draw(synapses())
    if kind in ("send", "back"):
        there, part = kind == "send", draw(st.sampled_from([None, (0, 2), (1, 4)]))
        source, target = ("q0", draw(unit)) if there else (draw(unit), "q0")
        scale = draw(st.sampled_from([None, Const(0.5), Load("g0")]))
        weight = "w0" if part is None else f"part{part[0]}"
        return Propagate("W" if part is None else f"P{part[0]}", weight, source, target, scale,
                         accumulate=draw(st.booleans()), transposed=not there,
                         post_slice=part)  # fmt: skip
    if kind == "copy":
        return Copy(draw(unit), draw(unit))
    if kind == "fill":
        return Fill(draw(unit), draw(st.sampled_from([0.0, 1.0, -2.0])))
    if kind == "push":
        return Push("ring", draw(unit), all=draw(st.booleans()))
    source = draw(unit)
    target = draw(unit.filter(lambda name: name != source))
    return GroupReduce(target, source, draw(st.sampled_from(["sum", "max"])), 2, 2)


@st.composite
def phases(draw: st.DrawFn) -> Program:
    """A program with three routines, of which "run" is a phase; s0 to s2 and s3 are scratch."""
    several = st.lists(operations(), max_size=3).map(tuple)
    remember = Elementwise("p", (Store("u2", fn("tanh", Load("ring", ago=2))),))
    buffers = [
        *(buffer(f"u{k}", Place.UNIT, "p") for k in range(3)),
        *(buffer(f"s{k}", Place.UNIT, "p", "scratch", kept=k == 2, of="") for k in range(3)),
        *(buffer(f"r{k}", Place.ROW, "p", ("state", "modulator")[k]) for k in range(2)),
        buffer("n0", Place.NEURON, "p", "parameter"),
        buffer("q0", Place.UNIT, "q"),
        buffer("g0", Place.GLOBAL, role="control"),
        buffer("ring", Place.UNIT, "p", "snapshot", slots=3),
        *(buffer(f"w{k}", Place.SYNAPSE, "W", "weight") for k in range(2)),
        *(buffer(f"part{k}", Place.SYNAPSE, f"P{k}", "weight") for k in range(2)),
    ]
    step = draw(several)
    if draw(st.booleans()):
        step = (*step, remember)
    routines = [
        Routine("start", "reset", once=draw(several), owner="p"),
        Routine("run", "phase", draw(several), step, draw(several), phase="run"),
        Routine("change", "update", once=draw(several)),
    ]
    shapes = {"W": (3, 4), "P0": (3, 2), "P1": (3, 3)}
    whole = program("random", {"q": 3, "p": 4}, shapes, buffers, routines)
    ends = dict.fromkeys(shapes, ("q", "p"))
    slices = {"P0": (None, (0, 2)), "P1": (None, (1, 4))}
    return replace(whole, ends=ends, slices=slices)
