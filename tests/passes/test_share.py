"""Scratch buffers are shared exactly where their lives allow it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netdsl.ir.expr import Load
from netdsl.ir.network import Place, Type
from netdsl.ir.program import Buffer, Elementwise, Fill, Propagate, Routine, Store
from netdsl.passes.program.share import share
from tests.programs import program


def scratch(name: str, owner: str = "p", **changes) -> Buffer:
    return Buffer(name, Place.UNIT, owner, changes.pop("role", "scratch"), why=name, **changes)


def store(target: str, *sources: str) -> Elementwise:
    return Elementwise("p", tuple(Store(target, Load(source)) for source in sources))


def names_after(parts: dict[str, tuple], buffers: list[Buffer], keep: frozenset[str] = frozenset()):
    """Buffers that one routine with these parts still stores to, and the table."""
    whole = [replace(b, kept=b.name in keep) for b in [*buffers, scratch("x", role="state")]]
    made = share(program("p", {"p": 1}, {}, whole, [Routine("r", "phase", **parts)]))
    routine, table = made.routines["r"], made.buffers
    stored = set()
    for op in (*routine.once, *routine.step, *routine.after):
        stored |= {op.target} if isinstance(op, Fill | Propagate) else {op.statements[0].buffer}
    return stored - {"x"}, table


IN_TURN = (store("a", "x"), store("x", "a"), store("b", "x"), store("x", "b"))


def test_one_after_the_other():
    stored, table = names_after({"step": IN_TURN}, [scratch("a"), scratch("b")])
    assert stored == {"a"}
    assert table["a"].why == "in turn: a, b"


def test_in_different_parts():
    parts = {"once": IN_TURN[:2], "step": IN_TURN[2:]}
    assert names_after(parts, [scratch("a"), scratch("b")])[0] == {"a"}


def test_what_is_stored_by_name_in_products_is_renamed():
    step = (
        Fill("a", 0.0),
        store("x", "a"),
        Propagate("W", "W.w", "x", "b", accumulate=False),
        store("x", "b"),
    )
    assert names_after({"step": step}, [scratch("a"), scratch("b"), weight()])[0] == {"a"}


def weight() -> Buffer:
    return Buffer("W.w", Place.SYNAPSE, "W", "weight")


@pytest.mark.parametrize(
    ("parts", "other"),
    [
        ({"step": (store("a", "x"), store("b", "x"), store("x", "a"), store("x", "b"))}, {}),
        ({"step": (store("a", "x"), store("b", "a"), store("x", "b"))}, {}),
        ({"step": (store("x", "b"), *IN_TURN)}, {}),
        ({"once": (store("b", "x"),), "step": (*IN_TURN[:2], store("x", "b"))}, {}),
        ({"step": IN_TURN}, {"owner": "q"}),
        ({"step": IN_TURN}, {"type": Type.BOOL}),
        ({"step": IN_TURN}, {"role": "state"}),
    ],
    ids=[
        "overlap",
        "one reads the other",
        "carried to the next step",
        "kept from before",
        "other population",
        "other type",
        "not scratch",
    ],
)
def test_apart(parts, other):
    assert names_after(parts, [scratch("a"), scratch("b", **other)])[0] == {"a", "b"}


def test_what_the_host_reads_is_kept():
    buffers = [scratch("a"), scratch("b")]
    assert names_after({"step": IN_TURN}, buffers, frozenset({"b"}))[0] == {"a", "b"}
