"""Hundreds of wrong specifications: one mistake, one error, at the exact place, with its words."""

from __future__ import annotations

from pathlib import Path

import pytest

from netdsl.syntax.parser import parse
from tests.syntax.wrong_specs import Wrong, read

FRAMES = {
    "top": "{}\n",
    "cell": "neuron a {{\n{}\n}}\n",
    "rule": "rule a {{\n{}\n}}\n",
    "synapse": "synapse a {{\n{}\n}}\n",
    "protocol": "protocol a {{\n{}\n}}\n",
}
FILES = sorted((Path(__file__).parent / "wrong").glob("*.txt"))
CASES = [wrong for file in FILES for wrong in read(file)]


def test_there_are_enough() -> None:
    assert len(CASES) >= 300


@pytest.mark.parametrize("wrong", CASES, ids=lambda wrong: f"{wrong.frame}: {wrong.text}")
def test_wrong_spec(wrong: Wrong) -> None:
    above = FRAMES[wrong.frame].index("{}") and 1
    found = parse(FRAMES[wrong.frame].format(wrong.text)).diagnostics
    marks = []
    for d in found:
        words = d.message + (f" = {d.help}" if d.help else "")
        line, end = d.primary.line - above, d.primary.end_column
        marks.append((line, d.primary.column, end, d.code, words))
    assert tuple(marks) == wrong.marks
    assert len(marks) == 1
