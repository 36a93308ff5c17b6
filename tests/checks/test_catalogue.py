"""The examples of the catalogue: the bad one has its fault and no other, the good one has none."""

from __future__ import annotations

import pytest

from netdsl.diagnostics.catalogue import Entry, catalogue
from netdsl.frontend import check

FAMILIES = ("E03", "E04", "E05", "E06", "L")
ENTRIES = [e for e in catalogue().values() if e.bad and e.code.startswith(FAMILIES)]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.code)
def test_examples(entry: Entry) -> None:
    found = check(entry.bad).diagnostics
    grave = [d for d in found if d.severity == "error"] or [d for d in found if d.code[0] == "E"]
    assert {d.code for d in (grave or found)} == {entry.code}
    for diagnostic in check(entry.good).diagnostics if entry.good else ():
        assert diagnostic.severity == "lint"
        assert diagnostic.code != entry.code
