"""Syntax errors: several in one run, at the right place, without cascades."""

from __future__ import annotations

from pathlib import Path

import pytest

from netdsl.diagnostics import DiagnosticError
from netdsl.syntax import ast
from netdsl.syntax.parser import parse, parse_or_raise, read_source


def found(text: str) -> list[tuple[str, int, int]]:
    """Code, line and column of each diagnostic."""
    return [(d.code, d.primary.line, d.primary.column) for d in parse(text).diagnostics]


def helps(text: str) -> list[str | None]:
    return [d.help for d in parse(text).diagnostics]


def test_several_errors_in_one_run() -> None:
    text = (
        "projecton W : a -> b dense { weight w = 0 }\n"
        "neuron a {\n  state v = 0\n  v := + * 2\n  v := 3\n}\n"
        "rule r {\n  dw = 3 4\n}\n"
        "let ok = 1\n"
        "let a = 1 < 2 < 3\n"
    )
    assert found(text) == [
        ("E0004", 1, 1),
        ("E0001", 4, 10),
        ("E0001", 8, 10),
        ("E0001", 11, 15),
    ]


def test_what_can_be_read_is_read() -> None:
    spec = parse("neuron a {\n  state v = 0\n  v := * 2\n  input j\n}\nlet b = 2\n").spec
    neuron, let = spec.items
    assert isinstance(neuron, ast.NeuronDecl) and isinstance(let, ast.Let)
    assert [type(s) for s in neuron.body] == [ast.State, ast.Input]


@pytest.mark.parametrize(
    ("text", "help_text"),
    [
        ("projecton W : a -> b dense\n", "did you mean `projection`?"),
        ("neuron a { spikee s when v > 1 }\n", "did you mean `spike`?"),
        ("protocol p { phase run 5 steps lerning }\n", "did you mean `learning`?"),
        ("metric m = 3 every 5 batches aftr update\n", "did you mean `after`?"),
        ("protocol p { rest }\n", "did you mean `reset`?"),
        ("let a = 2 ** 3\n", "powers are spelled `x^2`"),
        ("let a = b = c\n", "equality is `==`; a state is changed with `:=`"),
        ("let if = 3\n", "`if` is a word of the language and cannot be a name"),
        ("let a = 1 < 2 < 3\n", "comparisons do not chain: write `a < b and b < c`"),
    ],
)
def test_advice(text: str, help_text: str) -> None:
    assert helps(text) == [help_text]


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("neuron a {\n  state v = 0\n", [("E0002", 1, 10)]),
        ("neuron a {\n  state v = 0\nneuron b {\n}\n", [("E0002", 1, 10)]),
        ("neuron a {\n  spike s when v > 1 {\n  v := 0\n}\nlet b = 1\n", [("E0002", 2, 22)]),
        ("rule r {\n  dw = 2 * (1 + 3\n  reduce sum over batch\n}\n", [("E0002", 2, 12)]),
        ("let a = [1, 2\nlet b = 3\n", [("E0002", 1, 9)]),
        ("let a = (1, 2]\nlet b = 3\n", [("E0002", 1, 9), ("E0003", 1, 14)]),
        ("when a == 1 {\nlet b = 2\nneuron c {\n}\n}\n", []),
        ("neuron a {\n}\n}\nlet b = 3\n", [("E0003", 3, 1)]),
    ],
)
def test_brackets(text: str, places: list[tuple[str, int, int]]) -> None:
    assert found(text) == places


def test_text_of_one_line_without_end() -> None:
    assert found('use "abc\nlet b = 1\n') == [("E0005", 1, 5)]


def test_long_chains_and_deep_nesting_are_refused_not_crashed() -> None:
    for text in (
        "let a = " + "(" * 3000 + "1" + ")" * 3000,
        "let a = " + "1 + " * 3000 + "1",
        "let a = " + "-" * 3000 + "1",
        "let a = " + "[" * 3000,
        "let a = b" + ".c" * 3000,
        "let a = 9" + "9" * 6000,
        "neuron a { " + "when b { " * 1000 + "}" * 1001,
        "when b { " * 1000,
        "when b { } " + "else when b { } " * 2000,
    ):
        result = parse(text + "\n")
        assert not result.ok


def test_a_word_after_a_block_that_wants_more() -> None:
    assert found("protocol p {\n  repeat { reset } max\n}\n") == [("E0001", 2, 20)]


def test_empty_and_odd_files() -> None:
    for text in ("", "\n\n", "# only\n", ";;;", "\\\n", "\x00", "}", "{", '"'):
        parse(text)


def test_missing_file_folder_and_wrong_encoding(tmp_path: Path) -> None:
    with pytest.raises(DiagnosticError) as caught:
        read_source(tmp_path / "none.net")
    assert caught.value.diagnostics[0].code == "E0007"
    with pytest.raises(DiagnosticError) as caught:
        read_source(tmp_path)
    assert caught.value.diagnostics[0].code == "E0007"
    bad = tmp_path / "bad.net"
    bad.write_bytes(b"let a = 1\n# caf\xe9\n")
    with pytest.raises(DiagnosticError) as caught:
        read_source(bad)
    problem = caught.value.diagnostics[0]
    assert (problem.code, problem.primary.line, problem.primary.column) == ("E0008", 2, 6)
    assert "offset 15" in problem.message


def test_byte_order_mark_and_carriage_returns(tmp_path: Path) -> None:
    file = tmp_path / "a.net"
    file.write_bytes(b"\xef\xbb\xbflet a = 1\r\nlet b = 2\r\n")
    assert len(parse_or_raise(read_source(file)).items) == 2
