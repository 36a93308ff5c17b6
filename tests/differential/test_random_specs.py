"""Random valid specs mean one thing, whatever runs them; nearly valid ones get a message.

The suite takes the first seeds. `NETDSL_DIFFERENTIAL=300` takes so many, from
`NETDSL_DIFFERENTIAL_FROM` on, makes every comparison for each, and adds CUDA on the CPU.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from netdsl.backends.cupy import shim
from netdsl.backends.native import available
from netdsl.diagnostics import DiagnosticError, render
from netdsl.frontend import Checked, check
from netdsl.runtime.errors import RunFault
from tests.amounts import amount, sweep
from tests.differential.generator import make
from tests.differential.mistakes import MISTAKES, Mistake, mistaken, swapped
from tests.differential.runner import Runner, checks, generate_once

MANY = int(os.environ.get("NETDSL_DIFFERENTIAL", "0"))
FIRST = int(os.environ.get("NETDSL_DIFFERENTIAL_FROM", "0"))
COUNT = MANY or 64
SHORT = 7  # seeds of a short run
CUDA = 12 if MANY else 6
SEEDS = range(FIRST, FIRST + COUNT)


@pytest.fixture(scope="module", autouse=True)
def once() -> Iterator[None]:
    """Each program's code is generated once."""
    with pytest.MonkeyPatch.context() as patch:
        generate_once(patch)
        yield


@pytest.mark.parametrize("seed", sweep(SEEDS, lambda seed: bool(MANY) or seed < SHORT))
def test_one_meaning(seed: int, tmp_path: Path) -> None:
    case = make(seed)
    cuda = shim.compiler() is not None and seed % (COUNT // CUDA) == 0
    runner = Runner(case, tmp_path)
    failed = []
    for name, compare in checks(runner, native=available()[0], cuda=cuda, every=bool(MANY)):
        try:
            compare()
        except (AssertionError, DiagnosticError, RunFault) as fault:
            failed.append(f"--- {name}\n{fault}")
    assert not failed, "\n".join([f"seed {seed}", case.text, *failed])


def test_specs_differ_and_are_the_same_again() -> None:
    texts = {make(seed).text for seed in SEEDS}
    assert len(texts) == len(SEEDS)
    assert make(FIRST).text == make(FIRST).text


def errors(mistake: Mistake) -> Checked:
    """What `check` finds: each error has a code of its own and a place in the text."""
    checked = check(mistake.text)
    for found in checked.diagnostics:
        shown = f"{mistake.kind}: {found}"
        assert found.code != "E0899", shown
        assert 0 < found.primary.line <= mistake.text.count("\n") + 1, shown
        assert "^" in render(found, checked.sources), shown
    return checked


@pytest.mark.parametrize("kind", range(len(MISTAKES)), ids=sorted(MISTAKES))
def test_a_mistake_gets_a_message(kind: int) -> None:
    mistake = mistaken(kind + len(MISTAKES) * FIRST)
    assert not errors(mistake).ok, f"{mistake.kind}: {mistake.text.splitlines()[mistake.line - 1]}"


@pytest.mark.varied
@pytest.mark.parametrize("part", range(4))
def test_a_name_in_anothers_place(part: int, tmp_path: Path) -> None:
    """An error with a place, or a spec that runs."""
    for seed in range(FIRST + part, FIRST + (COUNT if MANY else amount(24, 40)), 4):
        mistake = swapped(seed)
        if errors(mistake).ok:
            try:
                Runner(replace(mistake.case, text=mistake.text), tmp_path).reference
            except (DiagnosticError, RunFault) as fault:
                assert "E0899" not in str(fault), f"{mistake.kind}: {fault}"
