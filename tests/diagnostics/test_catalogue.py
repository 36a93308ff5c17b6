"""Every code that the program uses is explained, and the examples of syntax are true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import netdsl
from netdsl.diagnostics.catalogue import FAMILIES, catalogue, explain
from netdsl.syntax.parser import parse

PACKAGE = Path(netdsl.__file__).parent
SYNTAX = [entry for entry in catalogue().values() if entry.code.startswith("E00")]


def test_every_code_in_the_program_is_registered() -> None:
    used: dict[str, str] = {}
    for file in PACKAGE.rglob("*.py"):
        if file.parent.name != "catalogue":
            for code in re.findall(r'"(E0\d{3}|L\d{4})"', file.read_text(encoding="utf-8")):
                used.setdefault(code, file.name)
    missing = {code: file for code, file in used.items() if code not in catalogue()}
    assert not missing


def test_every_code_has_its_page() -> None:
    for entry in catalogue().values():
        page = explain(entry.code.lower())
        assert page is not None and entry.title in page
        assert entry.title and entry.cause
    assert explain("E9999") is None
    assert len(FAMILIES) == 13


@pytest.mark.parametrize("entry", [e for e in SYNTAX if e.bad], ids=lambda e: e.code)
def test_examples_of_syntax(entry: object) -> None:
    bad, good, code = (getattr(entry, name) for name in ("bad", "good", "code"))
    assert {d.code for d in parse(bad).diagnostics} == {code}
    assert parse(good).diagnostics == ()
