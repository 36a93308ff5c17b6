"""The examples of names, units and what is not offered: one fault in the bad, none in the good."""

from __future__ import annotations

import pytest

from netdsl.diagnostics.catalogue import Entry, catalogue
from netdsl.frontend import check

FAMILIES = ("E01", "E02", "E08")
ENTRIES = [e for e in catalogue().values() if e.bad and e.code.startswith(FAMILIES)]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.code)
def test_examples(entry: Entry) -> None:
    found = [d for d in check(entry.bad).diagnostics if d.severity == "error"]
    assert {d.code for d in found} == {entry.code}
    if entry.good:
        assert [d for d in check(entry.good).diagnostics if d.severity == "error"] == []
