"""The table of verdicts in docs/locality.md is what `check` proves of each variant."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

from netdsl.frontend import check
from tests.amounts import sweep

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(
    r"^\| (\w+) \| (symmetric|random) \| (computed|given) \| ([^|]+) \|$", re.MULTILINE
)
ROWS: list[tuple[str, ...]] = ROW.findall((ROOT / "docs" / "locality.md").read_text("utf-8"))
RULES = ("eprop", "rflo", "mdgl", "mdgl_exact", "nlmdgl", "onmdgl", "bptt")
QUICK = (("onmdgl", "random", "given"), ("modprop", "random", "computed"))


def test_the_table_has_every_variant() -> None:
    ways = [*product(RULES, ("symmetric", "random"), ("computed", "given"))]
    ways += [("modprop", feedback, "computed") for feedback in ("symmetric", "random")]
    assert sorted(row[:3] for row in ROWS) == sorted(ways)


@pytest.mark.parametrize("row", sweep(ROWS, lambda row: row[:3] in QUICK), ids="-".join)
def test_row(row: tuple[str, ...]) -> None:
    rule, feedback, gains, proved = row
    spec = "modprop" if rule == "modprop" else "mdgl"
    chosen = {} if rule == "modprop" else {"rule": rule}
    chosen |= {"feedback": feedback, "gains": gains}
    found = check(ROOT / "specs" / f"{spec}.net", chosen, lower=False)
    assert found.ok and found.certificate is not None
    for entry in (found.certificate["W"], found.certificate["R"]):
        scope = "" if entry.modulator_scope == "none" else f" ({entry.modulator_scope})"
        assert entry.verdict + scope == proved
        assert (entry.time == "non-causal") == (rule == "bptt")
        named = any("`M` (which synapses `R` has" in note for note in entry.notes)
        assert named == (rule in ("mdgl", "onmdgl"))
