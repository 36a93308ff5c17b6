"""Identifiers, comments and places."""

from __future__ import annotations

import keyword

from hypothesis import given
from hypothesis import strategies as st

from netdsl.codegen.comments import c_text, python_text, spec_line
from netdsl.codegen.names import Names, mangle
from netdsl.diagnostics.span import Span
from netdsl.ir.expr import Index, Load, Local
from netdsl.ir.network import Place
from netdsl.ir.places import place_of
from tests.programs import fn, three_factor


def test_readable() -> None:
    assert mangle("W1.adam.m") == "W1_adam_m"
    assert mangle("h1.r@free") == "h1_r_at_free"
    assert mangle("out.s@count:run") == "out_s_at_count_run"


@given(st.lists(st.text(max_size=12), unique=True, max_size=8))
def test_identifiers_are_safe_and_unique(words: list[str]) -> None:
    names = Names(["np"])
    given = [names(word) for word in words]
    assert len(set(given)) == len(words)
    assert given == [names(word) for word in words]
    for identifier in given:
        assert identifier.isascii() and identifier.isidentifier()
        assert not keyword.iskeyword(identifier) and identifier != "np"


@given(st.text())
def test_comments_stay_one_line(text: str) -> None:
    for shown in (c_text(text), python_text(text)):
        assert shown.isascii() and (not shown or shown.isprintable()) and "\\" not in shown
    assert not any(pair in c_text(text) for pair in ("*/", "/*", "??"))


def test_spec_line() -> None:
    sources = {"dir/a.net": "x\n  v := 0   # reset\n"}
    assert spec_line(Span("dir/a.net", 2, 3, 2, 9), sources) == "a.net:2  v := 0"
    assert spec_line(Span("dir/a.net", 9, 3, 9, 9), sources) == "a.net:9"
    assert spec_line(None, sources) == ""


def test_places() -> None:
    program = three_factor()
    unit, row, neuron = Load("h1.v"), Load("good.h1"), Load("h1.thr0")
    assert place_of(fn("add", row, neuron), program, {}) is Place.UNIT
    assert place_of(fn("add", row, Load("batch.rows")), program, {}) is Place.ROW
    assert place_of(Index(), program, {}) is Place.NEURON
    assert place_of(fn("mul", Local("k"), unit), program, {"k": Place.GLOBAL}) is Place.UNIT
    assert place_of(Index(side="pre"), program, {}) is Place.SYNAPSE
    assert place_of(Load("h1.v", side="pre"), program, {}) is Place.ROW_SYNAPSE
