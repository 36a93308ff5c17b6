"""Programs read back equal from their text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netdsl.frontend import check as check_network
from netdsl.frontend import lower_network
from netdsl.ir.expr import Apply, Const, Expr, Index, Load, Local, Reduce, Ref
from netdsl.ir.program import STATEMENTS, Program, Store
from netdsl.ir.text import TextError, node_lines, parse_node, parse_program, program_text
from netdsl.passes.pipeline import Record
from netdsl.paths import data_path
from tests.amounts import specs, up_to
from tests.programs import PROGRAMS
from tests.random_programs import programs

SPECS = sorted(data_path("specs").rglob("*.net"), key=str)


def reads_back(program) -> None:
    text = program_text(program)
    again = parse_program(text)
    assert again == program
    assert program_text(again) == text


@pytest.mark.parametrize("name", PROGRAMS)
def test_hand_made_programs(name: str) -> None:
    reads_back(PROGRAMS[name]())


def distinct(made: Iterable[Program]) -> Iterator[Program]:
    """Programs that a pass has changed."""
    last = None
    for program in made:
        if program != last:
            yield program
        last = program


@pytest.mark.parametrize("spec", specs(SPECS), ids=lambda path: path.stem)
def test_shipped_specs_behind_every_pass(spec: Path) -> None:
    record = Record(keep=True)
    lower_network(check_network(spec).require(), record=record)
    for program in distinct(record.programs.values()):
        reads_back(program)


@given(programs())
@settings(max_examples=up_to(100), deadline=None)
def test_random_programs(program) -> None:
    reads_back(program)


NAMES = st.sampled_from(["h.v", "W1.w", "a.r@prev", "x", "h.s@count:run", "if", "a b", "inf", "t"])
NUMBERS = st.one_of(st.floats(allow_nan=False), st.integers(-9, 10**20), st.booleans())
LEAVES = st.one_of(
    NUMBERS.map(Const),
    NAMES.map(Load),
    st.sampled_from(["u", "h.du", "scalar0"]).map(Local),
    st.sampled_from([Index(), Index(side="pre"), Index("row", "post")]),
    st.just(Ref("h.thr0", "pre", "arrival")),
    st.builds(Load, NAMES, side=st.sampled_from(["own", "pre", "post"]), ago=st.integers(0, 9)),
    st.just(Load("h.line", ago=Apply("sub", (Load("t"), Const(1))))),
)
ARITIES = {
    "add": 2,
    "sub": 2,
    "mul": 2,
    "div": 2,
    "pow": 2,
    "mod": 2,
    "floordiv": 2,
    "neg": 1,
    "lt": 2,
    "eq": 2,
    "and": 2,
    "or": 2,
    "not": 1,
    "select": 3,
    "max": 2,
    "exp": 1,
}


def _deeper(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    applied = [
        st.tuples(*[inner] * arity).map(lambda args, name=name: Apply(name, args))
        for name, arity in ARITIES.items()
    ]
    return st.one_of(*applied, inner.map(lambda body: Reduce("sum", "batch", body)))


def _alike(one: object, other: object) -> bool:
    """Equal, and of the same types: 1, 1.0 and true are three constants."""
    return one == other and repr(one) == repr(other)


@given(st.recursive(LEAVES, _deeper, max_leaves=12))
@settings(max_examples=up_to(400), deadline=None)
def test_expressions(expr: Expr) -> None:
    (line,) = node_lines(Store("h.v", expr), exact=True)
    again = parse_node(line, STATEMENTS)
    assert _alike(again, Store("h.v", expr)), line


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("program p\nbuffer h.v unit", 2),
        ("program p\n\nroutine r set\n  once: h.v ::= 1", 4),
        ("program p\nroutine r set\n      once: h.v := 1", 3),
        ("program p\nroutine r set\n  twice: h.v := 1 everywhere", 3),
        ("program p\nroutine r set\n  once: cells h\n    h.v := (1 + 2", 4),
        ("program p\nwhat is this", 2),
        ("program p\npopulation h ?", 2),
    ],
)
def test_what_is_no_program_says_where(text: str, line: int) -> None:
    with pytest.raises(TextError) as fault:
        parse_program(text)
    assert fault.value.line == line
