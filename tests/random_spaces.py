"""Random step programs over synapses, pairs of rows and all other spaces."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace

from hypothesis import strategies as st

from netdsl.ir.expr import Const, Expr, Index, Load, Local
from netdsl.ir.program import Bind, Each, Guarded, Op, Program, Reduction, Routine, Shift, Store
from netdsl.ir.space import (
    EDGE,
    NEURON,
    OTHER,
    OTHER_KIND,
    ROW,
    ROW_KIND,
    ROW_KINDS,
    Axis,
    Space,
    edge,
    join,
    neuron,
    other_slot,
    slot,
)
from tests.programs.parts import fn
from tests.programs.remembered import remembered
from tests.programs.spaces import spaces
from tests.trees import trees

A, B, W = neuron("a"), neuron("b"), edge("W")
SPACES: tuple[Space, ...] = ((), (ROW,), (ROW, A), (B,), (ROW, OTHER), (W,), (ROW, W))
_REDUCTIONS: tuple[tuple[str, Space, str], ...] = (
    ("b.in", (W,), "post"),
    ("a.out", (W,), "pre"),
    ("b.theta", (W,), "post"),
    ("a.low", (W,), "pre"),
    ("b.theta", (ROW,), "own"),
    ("b.theta", (ROW, W), "post"),
    ("W.any", (ROW,), "own"),
    ("loss", (W,), "own"),
    ("near", (OTHER,), "own"),
    ("near", (A,), "own"),
    ("D", (B,), "own"),
    ("total", (ROW,), "own"),
    ("total", (ROW, W), "own"),
    ("gain", (A,), "own"),
)
P, Q = slot("past"), other_slot("past")
MEMORY_SPACES: tuple[Space, ...] = ((P,), (P, Q), (ROW, Q), (P, B), (ROW,), (ROW, OTHER))
_MEMORY_REDUCTIONS: tuple[tuple[str, Space, str], ...] = (
    ("K", (A,), "own"),
    ("near", (A,), "own"),
    ("w", (Q,), "own"),
    ("w", (OTHER, B), "own"),
    ("a.xi", (Q,), "own"),
    ("past.d", (Q,), "own"),
    ("b.on", (P,), "own"),
    ("r", (Q,), "own"),
    ("total", (P, Q), "own"),
)


def _newest(program: Program, space: Space, but: Container[str] = ()) -> list[Expr]:
    """Reads of the newest row of what is not among the buffers that change."""
    found: list[Expr] = []
    for name, held in program.buffers.items():
        rows = [axis for axis in held.space if axis.kind in ROW_KINDS]
        rest = set(held.space) - {*rows}
        if space and len(rows) == 1 and rest <= set(space):
            found += [] if name in but or held.slots > 1 else [Load(name, side="newest")]
    return found


def _reads(program: Program, space: Space) -> list[Expr]:
    """Every leaf that an expression over a space may have."""
    kinds = {axis.kind for axis in space}
    own = set(space)
    found: list[Expr] = [Const(0.5), Const(-1.5)]
    for name, held in program.buffers.items():
        if set(held.space) <= own and held.role != "counter":
            found.append(Load(name))
        if EDGE in kinds and set(held.space) <= {*own, A} and A in held.space:
            found.append(Load(name, side="pre"))
        if EDGE in kinds and set(held.space) <= {*own, B} and B in held.space:
            found.append(Load(name, side="post"))
        seen = {Axis(OTHER_KIND, a.owner) if a.kind == ROW_KIND else a for a in held.space}
        if len(seen) == len(held.space) and seen != set(held.space) and seen <= own:
            found.append(Load(name, side="other"))
    if EDGE in kinds:
        found += [Index(side="pre"), Index(side="post")]
    elif NEURON in kinds:
        found.append(Index())
    return found


FORMS = (
    *((1, lambda a, f=f: fn(f, a)) for f in ("tanh", "neg", "sin", "abs")),
    *((2, lambda a, b, f=f: fn(f, a, b)) for f in ("add", "sub", "mul", "min", "max", "gt")),
    (3, lambda c, a, b: fn("select", fn("gt", c, 0.1), a, b)),
)


def _value(leaves: list[Expr]) -> st.SearchStrategy[Expr]:
    return trees(leaves, FORMS, most=6)


@st.composite
def _statements(
    draw: st.DrawFn, program: Program, space: Space, newest: bool = False
) -> tuple[Bind | Store, ...]:
    own = set(space)
    targets = [
        name
        for name, held in program.buffers.items()
        if held.role != "counter"
        and (set(held.space) == own or (held.space and set(held.space) == own - {ROW}))
    ]
    if not targets:  # nothing has these indices: only a reduction's loops do
        return (Bind("x", Const(0.0)),)
    leaves, found = _reads(program, space), list[Bind | Store]()
    leaves += _newest(program, space, targets) if newest else []
    for number in range(draw(st.integers(1, 4))):
        # Bounded, so that repetition does not blow errors up.
        value = fn("sin", draw(_value(leaves)))
        if draw(st.booleans()):
            found.append(Bind(f"x{number % 2}", value))
            leaves = [*leaves, Local(f"x{number % 2}")]
        else:
            found.append(Store(draw(st.sampled_from(targets)), value))
    return tuple(found)


@st.composite
def _operation(draw: st.DrawFn, program: Program) -> Op:
    kind = draw(st.sampled_from(("each", "each", "guarded", "reduction")))
    if kind == "each":
        space = draw(st.sampled_from(SPACES))
        return Each(space, draw(_statements(program, space, newest=True)))
    if kind == "guarded":
        space = draw(st.sampled_from(((W,), (ROW, W))))
        side, buffer = (
            ("post", "b.on")
            if ROW not in space
            else draw(st.sampled_from((("pre", "a.s"), ("post", "b.s"), ("post", "b.on"))))
        )
        statements = draw(_statements(program, space))
        if any(s.stores == buffer for s in statements):
            return Each(space, statements)
        return Guarded(space, side, buffer, statements)
    return draw(_reduction(program, _REDUCTIONS))


@st.composite
def _reduction(
    draw: st.DrawFn, program: Program, among: tuple[tuple[str, Space, str], ...]
) -> Reduction:
    target, over, side = draw(st.sampled_from(among))
    loops = join(program.buffers[target].space, over)
    leaves = [*_reads(program, loops), *_newest(program, loops)]
    leaves = [e for e in leaves if not (isinstance(e, Load) and e.buffer == target)]
    how = draw(st.sampled_from(("sum", "mean", "max", "min", "any")))
    return Reduction(target, how, fn("sin", draw(_value(leaves))), over, side)


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Up to five operations, over a matrix of synapses or a list of them."""
    base = spaces(
        draw(st.integers(1, 6)), draw(st.integers(1, 6)), draw(st.sampled_from((None, 0.5)))
    )
    ops = tuple(draw(_operation(base)) for _ in range(draw(st.integers(1, 5))))
    return replace(base, routines={"run": Routine("run", "update", once=ops)})


@st.composite
def memory_programs(draw: st.DrawFn) -> Program:
    """Up to five operations over slots of a memory."""
    base = remembered(draw(st.integers(1, 5)), draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    ops: list[Op] = []
    for _ in range(draw(st.integers(1, 5))):
        kind = draw(st.sampled_from(("each", "reduction", "shift")))
        if kind == "shift":
            pairs = (("past.a.x", "a.x"), ("past.d", "b.y"), ("w", "r"), ("past.r", "r"))
            ops.append(Shift(*draw(st.sampled_from(pairs))))
        elif kind == "each":
            space = draw(st.sampled_from(MEMORY_SPACES))
            ops.append(Each(space, draw(_statements(base, space, newest=True))))
        else:
            ops.append(draw(_reduction(base, _MEMORY_REDUCTIONS)))
    return replace(base, routines={"run": Routine("run", "update", once=tuple(ops))})
