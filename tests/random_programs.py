"""Small random programs, for hypothesis: one Elementwise and one SynapseUpdate over few buffers."""

from __future__ import annotations

from hypothesis import strategies as st

from netdsl.ir.expr import Apply, Const, Expr, Index, Load, Local
from netdsl.ir.network import Place
from netdsl.ir.program import (
    Bind,
    Elementwise,
    Product,
    Program,
    Routine,
    RowReduce,
    Statement,
    Store,
    Sum,
    SynapseUpdate,
)
from tests.programs import buffer, fn, program

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


def expressions(leaves: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    """Trees over `leaves`; truth values appear as operands of everything."""

    def extend(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
        choices = [
            st.tuples(*(inner for _ in range(arity))).map(
                lambda args, name=name: (
                    fn("tanh", Apply(name, args))
                    if name in ("mul", "add", "sub")
                    else Apply(name, args)
                )
            )
            for name, arity in (*_SMOOTH, *_TRUTH)
        ]
        square = inner.map(lambda arg: fn("tanh", fn("pow", arg, 2)))
        return st.one_of(*choices, square)

    return st.recursive(leaves, extend, max_leaves=8)


def _leaves(names: list[str], locals: list[str], *others: Expr) -> st.SearchStrategy[Expr]:
    fixed: list[Expr] = [Load(n) for n in names] + [Local(n) for n in locals] + list(others)
    constants = st.sampled_from([0.0, 1.0, -1.0, 0.5, -0.3, 2.0]).map(Const)
    return st.one_of(st.sampled_from(fixed), constants)


@st.composite
def cells(draw: st.DrawFn) -> tuple[Statement, ...]:
    """Statements of an Elementwise over buffers u0..u2, r0, r1, n0, g0."""
    statements: list[Statement] = []
    bound: list[str] = []
    for _ in range(draw(st.integers(1, 7))):
        kind = draw(st.sampled_from(["bind", "store", "store", "row", "reduce"]))
        names = ["r0", "r1", "g0"] if kind == "row" else ["u0", "u1", "u2", "r0", "n0", "g0"]
        leaves = _leaves(
            names, [] if kind == "row" else bound, *([] if kind == "row" else [Index()])
        )
        value = draw(expressions(leaves))
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
    return tuple(statements)


@st.composite
def synapses(draw: st.DrawFn) -> SynapseUpdate:
    """A SynapseUpdate of projection W over w0, w1 with up to two sums."""
    sides = st.tuples(st.sampled_from([None, "q0"]), st.sampled_from([None, "u0", "u1"]))
    indices: list[Expr] = [Index(side="pre"), Index(side="post")]
    factor = st.one_of(st.none(), expressions(_leaves(["w0", "w1", "g0"], [], *indices)))
    sums = []
    for name in ("a", "b")[: draw(st.integers(0, 2))]:
        terms = draw(st.lists(st.tuples(sides, factor), min_size=1, max_size=3))
        products = tuple(Product(pre, post, f) for (pre, post), f in terms)
        sums.append(Sum(name, products))
    bound = [total.name for total in sums]
    statements: list[Bind | Store] = []
    for _ in range(draw(st.integers(1, 5))):
        value = draw(expressions(_leaves(["w0", "w1", "g0"], bound, *indices)))
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
