"""`--form`: rules with states at synapses run step by step or in reverse, as asked."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.command import Command
from tests.reverse.test_online import BODY, CELLS, DW, STATE

TEXT = CELLS.replace("STATE", STATE).replace("DW", DW).replace("BODY", BODY)
SAID = {"online": "advance with each step: as asked", "reverse": "runs in reverse"}


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    path = tmp_path / "cells.net"
    path.write_text(TEXT)
    return path


@pytest.mark.parametrize("form", SAID)
def test_what_is_shown_and_written(netdsl: Command, spec: Path, form: str) -> None:
    shown = netdsl("show", "schedule", spec, "--form", form)
    assert shown.code == 0 and SAID[form] in shown.out
    folder = spec.parent / "out"
    assert netdsl("compile", spec, "--backend", "numpy", "--form", form, "--out", folder).code == 0
    assert SAID[form] in (folder / "schedule.txt").read_text()


def test_verdicts_do_not_depend_on_the_form(netdsl: Command, spec: Path) -> None:
    folders = [spec.parent / form for form in SAID]
    for form, folder in zip(SAID, folders, strict=True):
        done = netdsl("compile", spec, "--backend", "numpy", "--form", form, "--out", folder)
        assert done.code == 0, done.err
    online, swept = ((folder / "certificate.txt").read_text() for folder in folders)
    assert online == swept


def test_a_run_goes_on_in_its_form(netdsl: Command, spec: Path) -> None:
    first = netdsl("run", spec, "--backend", "numpy", "--form", "online", "--quiet")
    assert first.code == 0, first.err
    run = next((netdsl.folder / "runs").iterdir())
    assert json.loads((run / "params.json").read_text())["form"] == "online"
    again = netdsl("run", "--resume", run, "--quiet", "--epochs", "2")
    assert again.code == 0 and "form" not in again.err, again.err
    other = netdsl("run", "--resume", run, "--quiet", "--epochs", "3", "--form", "reverse")
    assert other.code == 1 and "E0722" in other.err  # its checkpoint holds states at synapses


def test_a_form_that_is_none(netdsl: Command, spec: Path) -> None:
    assert netdsl("run", spec, "--form", "sideways").code == 2
