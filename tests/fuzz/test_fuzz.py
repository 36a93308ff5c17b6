"""Mutated specs get an answer; `pytest tests/fuzz --fuzz 2000 --fuzz-seed 7` takes other ones."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.amounts import amount
from tests.fuzz.examine import examine
from tests.fuzz.mutate import ROOT, mutant, mutants

PARTS = 8


@pytest.mark.varied
@pytest.mark.parametrize("part", range(PARTS))
def test_mutants(part: int, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    count = pytestconfig.getoption("--fuzz") or amount(200, 800)
    seed = pytestconfig.getoption("--fuzz-seed")
    for file in (ROOT / "specs").glob("*.net"):  # which mutants may use
        shutil.copy(file, tmp_path)
    answers = []
    for number in range(part, count, PARTS):
        made = mutant(seed, number)
        try:
            answers.append(examine(made.text, tmp_path / "mutant.net"))
        except Exception as fault:
            pytest.fail(f"{made.origin}: {type(fault).__name__}: {fault}\n{made.text}")
    assert "refused" in answers
    assert count < 400 or "translated" in answers


def test_mutants_are_the_same_for_the_same_seed() -> None:
    assert list(mutants(5, 20)) == list(mutants(5, 20))
    assert list(mutants(5, 20)) != list(mutants(6, 20))
