"""Precedence and the other decisions of the expression grammar."""

from __future__ import annotations

import pytest

from netdsl.syntax import ast
from netdsl.syntax.fmt import show
from netdsl.syntax.parser import parse_or_raise


def expr(text: str) -> ast.Expr:
    item = parse_or_raise(f"let a = {text}\n").items[0]
    assert isinstance(item, ast.Let)
    return item.value


X, Y, Z = ast.Name("x"), ast.Name("y"), ast.Name("z")


def test_minus_binds_looser_than_power() -> None:
    assert expr("-x^2") == ast.Unary("-", ast.Binary("^", X, ast.Number(2)))
    assert expr("x^-y^z") == ast.Binary("^", X, ast.Unary("-", ast.Binary("^", Y, Z)))


def test_sums_associate_to_the_left() -> None:
    assert expr("x - y - z") == ast.Binary("-", ast.Binary("-", X, Y), Z)
    assert show(expr("x - (y - z)")) == "x - (y - z)"


def test_conditional_nests_to_the_right() -> None:
    assert expr("x if y else z if x else y") == ast.Conditional(Y, X, ast.Conditional(X, Z, Y))


@pytest.mark.parametrize(
    ("text", "over"),
    [
        ("sum(x over batch)", ast.Over("over", (ast.Ref("batch"),))),
        ("mean(x over p in past)", ast.Over("over", (ast.Ref("past"),), "p")),
        ("mean(x over run last 10)", ast.Over("over", (ast.Ref("run"),), None, ast.Number(10))),
        ("mean(x per batch)", ast.Over("per", (ast.Ref("batch"),))),
        ("mean(x by sample.label)", ast.Over("by", (ast.Ref("sample.label"),))),
    ],
)
def test_reductions(text: str, over: ast.Over) -> None:
    call = expr(text)
    assert isinstance(call, ast.Call) and call.over == over


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("13 ms", 13, "ms"),
        ("13ms", 13, "ms"),
        ("0.1 1/ms", 0.1, "1/ms"),
        ("3 mV/ms", 3, "mV/ms"),
        ("2 steps", 2, "step"),
        ("3 ms^2", 3, "ms^2"),
        (".5e-3", 0.0005, None),
    ],
)
def test_numbers(text: str, value: float, unit: str | None) -> None:
    assert expr(text) == ast.Number(value, unit)


def test_a_division_by_a_name_is_no_unit() -> None:
    assert expr("3 mV/tau") == ast.Binary("/", ast.Number(3, "mV"), ast.Name("tau"))


def test_keywords_are_names_where_a_name_is_due() -> None:
    assert expr("rule == input + step") == ast.Binary(
        "==", ast.Name("rule"), ast.Binary("+", ast.Name("input"), ast.Name("step"))
    )
    spec = parse_or_raise("protocol p { gain := 2; phase := 3; phase phase 3 steps }\n")
    assert isinstance(spec.items[0], ast.ProtocolDecl)
    kinds = [type(s) for s in spec.items[0].body]
    assert kinds == [ast.GlobalAssign, ast.GlobalAssign, ast.Phase]


@pytest.mark.parametrize(
    "text",
    [
        "let a = (1 +\n  2)",
        "let a = 1 +\n  2",
        "let a = 1 \\\n  + 2",
        "let a = [1,\n 2]\n\n\nlet b = 3;let c = 4;",
        "when a == 1 {\n  let x = 1\n}\nelse {\n  let x = 2\n}",
        "let a = 1 if b\n  else 2",
        "\r\nlet a = 1\r\nlet b = 2\r\n",
        "",
        "# only a comment",
    ],
)
def test_lines_go_on_where_a_statement_cannot_end(text: str) -> None:
    parse_or_raise(text)
