"""Every construct of the language parses, prints back to the same tree, and keeps its comments."""

from __future__ import annotations

from pathlib import Path

import pytest

from netdsl.diagnostics import render_all
from netdsl.syntax import ast
from netdsl.syntax.fmt import format_source, format_spec
from netdsl.syntax.parser import parse

EXAMPLES = sorted((Path(__file__).parent / "examples").glob("*.net"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_round_trip(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    first = parse(text, path.name)
    assert first.ok, render_all(first.diagnostics, {path.name: text})
    printed = format_source(text, path.name)
    second = parse(printed, path.name)
    assert second.spec == first.spec
    assert [c.text for c in second.comments] == [c.text for c in first.comments]
    assert format_source(printed, path.name) == printed


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_without_layout(path: Path) -> None:
    spec = parse(path.read_text(encoding="utf-8"), path.name).spec
    assert parse(format_spec(spec)).spec == spec


def test_examples_cover_every_node() -> None:
    seen: set[str] = set()
    for path in EXAMPLES:
        spec = parse(path.read_text(encoding="utf-8")).spec
        seen |= {type(node).__name__ for node in ast.walk(spec)}
    kinds = {
        name
        for name in ast.__all__
        if isinstance(getattr(ast, name), type) and issubclass(getattr(ast, name), ast.Node)
    }
    abstract = {"Node", "Named"}
    assert kinds - abstract - seen == set()


def test_spans_cover_the_text_of_a_node() -> None:
    text = "rule r {\n  dw = pre.s * h2.s\n}\n"
    rule = parse(text).spec.items[0]
    assert isinstance(rule, ast.RuleDecl)
    setting = rule.body[0]
    assert isinstance(setting, ast.Setting) and isinstance(setting.value, ast.Binary)
    span = setting.value.right.span
    assert (span.line, span.column, span.end_line, span.end_column) == (2, 16, 2, 20)
    assert (rule.name_span.column, rule.name_span.end_column) == (6, 7)
