"""A step program with memories: slots of their own, whatever the batch, beside its rows."""

from __future__ import annotations

from dataclasses import replace

from netdsl.ir.expr import Load, Local
from netdsl.ir.network import Place
from netdsl.ir.program import (
    Bind,
    Copy,
    Each,
    Elementwise,
    Fill,
    Op,
    Program,
    Reduction,
    Routine,
    Shift,
    Store,
)
from netdsl.ir.space import OTHER, ROW, Axis, neuron, other_slot, slot
from tests.programs.parts import buffer, fn, program

A, B = neuron("a"), neuron("b")
MEMORY_CALLS = (
    ("push", 0, 0, None),
    ("run", 2, 0, None),
    ("push", 0, 0, None),
    ("push", 0, 0, None),
    ("run", 1, 0, None),
    ("forget", 0, 0, None),
    ("run", 1, 0, None),
)
P, Q = slot("past"), other_slot("past")


def _gauss(name: str, owner: Axis, target: str) -> tuple[Op, ...]:
    """A kernel of slots, or of rows, with slots."""
    apart = fn("sub", Load(name), Load("past.a.x", side="other"))
    loops = (P, Q) if target == "K" else (ROW, Q)
    return (
        Reduction(target, "mean", fn("mul", apart, apart), (owner,)),
        Each(loops, (Store(target, fn("exp", fn("neg", Load(target)))),)),
    )


def last(name: str) -> Load:
    """The value in the newest slot."""
    return Load(name, side="newest")


def _slots() -> tuple[Op, ...]:
    """What each slot, and each row against the slots, makes of what is remembered."""
    change = fn("sub", Load("a.x"), Load("past.a.x", side="other"))
    weighted = fn("mul", fn("add", Load("w", side="other"), Load("near")), change)
    return (
        *_gauss("past.a.x", A, "K"),
        *_gauss("a.x", A, "near"),
        Reduction("w", "mean", Load("K"), (Q,)),
        Each(
            (P,),
            (
                Bind("d", fn("sub", 1, Load("w"))),
                Store("w", fn("add", Local("d"), fn("mul", 0.25, Load("past.r")))),
            ),
        ),
        Reduction("a.xi", "sum", weighted, (Q,)),
        Reduction("most", "max", fn("mul", Load("w"), Load("past.b.y")), (P,)),
        Reduction("total", "sum", Load("K"), (P, Q)),
        Reduction("r", "mean", fn("sub", Load("near"), Load("past.r", side="other")), (Q,)),
        # What the rows are to a slot: the memory first, the batch second.
        Reduction("v", "min", fn("sub", Load("past.r"), Load("r", side="other")), (OTHER,)),
        Reduction("past.d", "sum", fn("mul", Load("K"), Load("past.b.y", side="other")), (Q,)),
        Each((P, B), (Store("past.e", fn("tanh", fn("add", Load("past.d"), Load("b.on")))),)),
        Reduction("b.on", "any", fn("gt", Load("past.e"), 0.6), (P,)),
        Copy("past.d", "past.e"),
        Each((P,), (Store("v", fn("add", Load("v"), fn("mul", 0.5, last("w")))),)),
        Reduction("most", "sum", fn("mul", last("past.b.y"), Load("near")), (ROW, Q)),
    )


def remembered(slots: int = 5, m: int = 7, n: int = 3) -> Program:
    """A memory of UNIT and ROW values, its kernels, and another memory that shares nothing."""
    buffers = [
        buffer("a.x", Place.UNIT, "a"),
        buffer("a.xi", Place.UNIT, "a"),
        buffer("b.y", Place.UNIT, "b"),
        buffer("b.on", Place.NEURON, "b"),
        buffer("most", Place.NEURON, "b"),
        buffer("r", Place.ROW),
        buffer("total", Place.GLOBAL),
        buffer("past.a.x", Place.SLOT_UNIT, "a", memory="past"),
        buffer("past.b.y", Place.SLOT_UNIT, "b", memory="past"),
        buffer("past.d", Place.SLOT_UNIT, "b", memory="past"),
        buffer("past.e", Place.SLOT_UNIT, "b", memory="past"),
        buffer("past.r", Place.SLOT, memory="past", role="accumulator"),
        buffer("K", Place.SLOT_PAIR, memory="past"),
        buffer("near", Place.ROW_SLOT, memory="past"),
        buffer("w", Place.SLOT, memory="past"),
        buffer("v", Place.SLOT, memory="past"),
        buffer("seen.a", Place.SLOT_UNIT, "a", memory="seen"),
    ]
    moved = (
        Elementwise("a", (Store("a.x", fn("cos", fn("add", Load("a.x"), Load("a.xi")))),)),
        Elementwise("b", (Store("b.y", fn("sin", fn("add", Load("b.y"), Load("most")))),)),
    )
    push = (
        Shift("past.a.x", "a.x"),
        Shift("past.b.y", "b.y"),
        Shift("past.r", "r"),
        Shift("seen.a", "a.x"),
    )
    routines = [
        Routine("push", "update", once=push),
        Routine("run", "phase", step=(*_slots(), *moved), phase="run"),
        Routine("forget", "reset", once=(Fill("past.a.x", 0.0), Fill("past.r", 0.5))),
    ]
    made = program("remembered", {"a": m, "b": n}, {}, buffers, routines)
    return replace(made, memories={"past": slots, "seen": 2})
