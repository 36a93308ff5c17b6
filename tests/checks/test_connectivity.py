"""Ends of projections that do not fit."""

from __future__ import annotations

from dataclasses import replace

from netdsl.checks import run
from netdsl.ir.expr import Const
from tests.networks import Builder


def pair(kind: str = "dense", **settings: bool) -> Builder:
    b = Builder()
    b.population("a", 3, state="s")
    b.population("c", 4, body=("s = i",), input="i", state="s")
    b.projection("P", "a", "c", "i: w * pre.s", kind=kind, **settings)  # type: ignore[arg-type]
    return b


def codes(b: Builder) -> list[str]:
    return [d.code for d in run(b.network()) if d.code.startswith("E")]


def test_one_to_one_needs_equal_sizes() -> None:
    assert codes(pair("one_to_one")) == ["E0621"]
    assert codes(pair()) == []


def test_one_to_one_of_slices() -> None:
    b = pair("one_to_one")
    b.projections["P"] = replace(b.projections["P"], post_slice=(1, 4))
    assert codes(b) == []


def test_transpose_must_run_the_other_way() -> None:
    b = pair()
    b.population("other", 5, body=("s = i",), input="i", state="s")
    b.projection("Pt", "c", "other", "i: w * pre.s", transpose_of="P")
    assert codes(b) == ["E0622"]


def test_no_self_connections_between_different_populations() -> None:
    assert codes(pair(self_connections=False)) == ["E0623"]


def test_fixed_number_of_synapses() -> None:
    b = pair("fixed_in")
    links = b.projections["P"].connectivity
    b.projections["P"] = replace(b.projections["P"], connectivity=replace(links, number=4))
    assert codes(b) == ["E0624"]
    b.projections["P"] = replace(b.projections["P"], connectivity=replace(links, number=3))
    assert codes(b) == []


def test_bounds_in_order() -> None:
    b = pair()
    b.learn("P", "hebb", "pre.s * post.s")
    rule = b.projections["P"].rule
    assert rule is not None
    for bound, expected in (((1, -1), ["E0625"]), ((-1, 1), [])):
        ends = (Const(bound[0]), Const(bound[1]))
        b.projections["P"] = replace(b.projections["P"], rule=replace(rule, bound=ends))
        assert codes(b) == expected
