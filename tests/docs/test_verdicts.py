"""The table of verdicts in docs/locality.md is what `check` proves of each variant."""

from __future__ import annotations

import re
from itertools import product
from pathlib import Path

import pytest

from netdsl.frontend import check
from tests.amounts import sweep

ROOT = Path(__file__).resolve().parents[2]
RULES = ("eprop", "rflo", "mdgl", "mdgl_exact", "nlmdgl", "onmdgl", "modprop", "bptt")
COLUMNS = ((0, ("symmetric", "computed")), (0, ("symmetric", "given")))
COLUMNS += ((1, ("random", "computed")), (2, ("random", "given")))
QUICK = (("onmdgl", "random", "given"), ("modprop", "random", "computed"))


def table() -> dict[tuple[str, str, str], str]:
    """Rule, feedback and gains, with the verdict as written; "" where there is no such variant."""
    text = (ROOT / "docs" / "locality.md").read_text(encoding="utf-8")
    found = {}
    for names, *cells in re.findall(r"^\| (`[^|]+`) \|([^|]*)\|([^|]*)\|([^|]*)\|$", text, re.M):
        for rule, (column, way) in product(re.findall(r"`(\w+)`", names), COLUMNS):
            found[rule, *way] = cells[column].strip()
    return {key: cell for key, cell in found.items() if key != ("modprop", "symmetric", "given")}


ROWS = [(*key, proved) for key, proved in table().items() if proved]


def test_the_table_has_every_variant() -> None:
    assert {row[0] for row in ROWS} == set(RULES)
    assert len(ROWS) == 4 * len(RULES) - 2  # ModProp has no gains that are given


@pytest.mark.parametrize("row", sweep(ROWS, lambda row: row[:3] in QUICK), ids="-".join)
def test_row(row: tuple[str, ...]) -> None:
    rule, feedback, gains, proved = row
    spec = "modprop" if rule == "modprop" else "mdgl"
    chosen = {} if rule == "modprop" else {"rule": rule}
    chosen |= {"feedback": feedback, "gains": gains}
    found = check(ROOT / "specs" / f"{spec}.net", chosen, lower=False)
    assert found.ok and found.certificate is not None
    for entry in (found.certificate["W"], found.certificate["R"]):
        scope = f" ({entry.modulator_scope})" if entry.verdict == "three-factor" else ""
        time = ", non-causal" if entry.time == "non-causal" else ""
        assert entry.verdict + scope + time == proved
        named = any("`M` (which synapses `R` has" in note for note in entry.notes)
        assert named == (rule in ("mdgl", "onmdgl"))
