"""Collecting findings, and guessing what a misspelt name meant."""

from __future__ import annotations

import pytest

from netdsl.diagnostics import DiagnosticBag, DiagnosticError, Span, did_you_mean, suggest
from netdsl.syntax.parser import parse_or_raise

HERE = Span("f", 2, 1, 2, 3)


def test_a_finding_is_kept_once_and_findings_are_in_order() -> None:
    bag = DiagnosticBag()
    bag.error("E0102", "second", HERE)
    bag.error("E0102", "second", HERE)
    bag.lint("L0001", "first", Span("f", 1, 1, 1, 2))
    assert [d.message for d in bag] == ["first", "second"]


def test_only_errors_raise() -> None:
    bag = DiagnosticBag()
    bag.warning("E0601", "careful", HERE)
    bag.raise_if_errors()
    bag.error("E0101", "no", HERE)
    with pytest.raises(DiagnosticError) as caught:
        bag.raise_if_errors()
    assert len(caught.value.diagnostics) == 2


def test_an_error_shows_the_line_the_carets_and_the_help() -> None:
    with pytest.raises(DiagnosticError) as caught:
        parse_or_raise("param tau = 20 msec\n", "my.net")
    assert str(caught.value) == (
        "error[E0020]: `msec` is not a unit\n"
        " --> my.net:1:16\n"
        "  |\n"
        "1 | param tau = 20 msec\n"
        "  |                ^^^^\n"
        "  = help: write `20 ms`"
    )


def test_a_poisoned_name_is_reported_once() -> None:
    bag = DiagnosticBag()
    assert bag.poison("h1", "vv")
    assert not bag.poison("h1", "vv")
    assert bag.is_poisoned("h1", "vv") and not bag.is_poisoned("h2", "vv")


def test_suggestions() -> None:
    assert suggest("projecton", ["population", "projection"]) == "projection"
    assert suggest("H1", ["h1", "h2"]) == "h1"
    assert suggest("zzz", ["h1", "h2"]) is None
    assert did_you_mean("treshold", ["threshold"]) == "did you mean `threshold`?"
