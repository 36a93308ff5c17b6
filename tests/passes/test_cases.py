"""Each pass on programs in text: `cases/PASS_what.ir` is a program, `becomes`, and what it becomes.

The second half gives routines alone, and buffers where the pass adds some or changes what is said
about them, and `gone NAME` where it takes one away; all else stays as it was.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from netdsl.frontend import check
from netdsl.ir.program import Program
from netdsl.ir.text import network_text, parse_program, program_text
from netdsl.ir.verify import verify
from netdsl.passes import lower
from netdsl.passes.pipeline import PIPELINE, PROGRAM_PASSES, Record
from netdsl.paths import data_path

CASES = sorted((Path(__file__).parent / "cases").glob("*.ir"))
PASSES = {step.name: step.run for step in PROGRAM_PASSES}


def read(path: Path) -> tuple[str, Program, Program]:
    before, _, after = path.read_text().partition("\nbecomes\n")
    program = parse_program(before)
    lines = after.splitlines()
    gone = {line.removeprefix("gone ") for line in lines if line.startswith("gone ")}
    rest = [line for line in lines if not line.startswith("gone ")]
    wanted = parse_program("\n".join(["program _", *rest]))
    buffers = {**program.buffers, **wanted.buffers}
    whole = replace(
        program,
        buffers={name: buffer for name, buffer in buffers.items() if name not in gone},
        routines={**program.routines, **wanted.routines},
    )
    return path.stem.split("_")[0], program, whole


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path) -> None:
    name, program, wanted = read(path)
    verify(program)
    found = PASSES[name](program)
    verify(found)
    assert program_text(found) == program_text(wanted)


def test_every_pass_has_cases() -> None:
    assert {path.stem.split("_")[0] for path in CASES} == set(PASSES)
    assert all(path.read_text().startswith("# ") for path in CASES)


def test_behind_a_pass_over_networks_stands_a_network() -> None:
    network = check(data_path("specs") / "examples" / "recurrent_rate.net", lower=False).require()
    record = Record(keep=True)
    lower(network, record=record)
    assert "  integrate d " in network_text(network)
    assert "  integrate d " not in network_text(record.networks["integrate"])
    assert list(record.milliseconds) == [step.name for step in PIPELINE]
