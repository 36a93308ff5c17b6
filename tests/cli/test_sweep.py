"""Sweeps: which runs there are, what is written, going on after a stop, and what went wrong."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from netdsl.tools.sweep import (
    Outcome,
    Run,
    Settings,
    Sweep,
    SweepError,
    number_of,
    over_of,
    runs_of,
)
from tests.cli import dying
from tests.cli.command import SPEC, Command


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("tau=10,20,40 ms", ("10 ms", "20 ms", "40 ms")),
        ("tau=10 ms, 0.2 s", ("10 ms", "0.2 s")),
        ("n=100:400:100", ("100", "200", "300", "400")),
        ("v=-65:-50:7.5 mV", ("-65 mV", "-57.5 mV", "-50 mV")),
        ("x=0:1:0.1", tuple(f"{k / 10:g}" for k in range(11))),
        ("n=4:1:-2", ("4", "2")),
        ("rule=eprop,mdgl", ("eprop", "mdgl")),
        ("a=1e-3", ("1e-3",)),
    ],
)
def test_values(text: str, values: tuple[str, ...]) -> None:
    assert over_of(text).values == values


@pytest.mark.parametrize(
    "text", ["n", "=1", "n=", "n=1,,2", "n=1,1", "n=1:2:0", "n=2:1:1", "n=0:1e9:1e-3"]
)
def test_no_values(text: str) -> None:
    with pytest.raises(SweepError):
        over_of(text)


def test_all_combinations_once() -> None:
    over = [over_of("a=1,2"), over_of("b=x,y,z")]
    found = runs_of(over, range(5, 7))
    assert len(set(found)) == len(found) == 12
    assert found[1] == Run((("a", "1"), ("b", "x")), 6)
    with pytest.raises(SweepError, match="twice"):
        runs_of([over_of("a=1"), over_of("a=2")], [0])


@pytest.mark.parametrize(("text", "number"), [("-5 mV", -5), ("1e-3", 1e-3), ("eprop", None)])
def test_numbers(text: str, number: float | None) -> None:
    assert number_of(text) == number


def test_table_and_figure(netdsl: Command) -> None:
    (netdsl.folder / "small.net").write_text(SPEC)
    call = ("--over", "rate=0.02,0.08,oops", "--seeds", "2", "--epochs", "1", "--backend", "numpy")
    call = (*call, "--limit", "40")
    result = netdsl("sweep", netdsl.folder / "small.net", *call, "--out", netdsl.folder / "sweep")
    assert result.code == 1 and "failed: rate=oops seed=1: error[E0202]" in result.err
    folder = netdsl.folder / "sweep"
    rows = list(csv.DictReader((folder / "sweep.csv").open()))
    assert [row["rate"] for row in rows] == ["0.02", "0.02", "0.08", "0.08", "oops", "oops"]
    assert [row["seed"] for row in rows] == ["0", "1"] * 3
    found = {float(row["test.accuracy"]) for row in rows[:4]}
    assert len(found) == 4 and all(0 < value <= 1 for value in found)
    assert (folder / "sweep-accuracy-test.png").read_bytes().startswith(b"\x89PNG")
    again = netdsl(
        "run", netdsl.folder / "small.net", "--set", "rate=0.08", "--seed", "1", *call[4:]
    )
    assert f"{float(rows[3]['test.accuracy']):.4g}" in again.out
    # The same command tries what failed; values may be added; another experiment is refused.
    call = ("--over", "rate=0.02,0.08,0.2", *call[2:])
    result = netdsl("sweep", netdsl.folder / "small.net", *call, "--out", folder)
    assert result.code == 0 and "4 of 6 runs are done" in result.out
    other = netdsl("sweep", netdsl.folder / "small.net", *call[:-1], "60", "--out", folder)
    assert other.code == 1 and "E0761" in other.err


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (("--over", "nothing=1"), "E0111"),
        (("--over", "rate=1:0:1"), "never gets to its end"),
        (("--over", "rate=1", "--set", "rate=2"), "swept and set"),
        (("--over", "rate=1", "--format", "bmp"), "E0731"),
    ],
)
def test_misuse(netdsl: Command, call: tuple[str, ...], said: str) -> None:
    (netdsl.folder / "small.net").write_text(SPEC)
    result = netdsl("sweep", netdsl.folder / "small.net", *call, "--out", netdsl.folder / "sweep")
    assert result.code in (1, 2) and said in result.err
    assert not list(netdsl.folder.glob("sweep/runs/*"))


def test_a_line_that_was_cut_off_counts_for_nothing(tmp_path: Path) -> None:
    over, how = [over_of("rate=1,2")], Settings(SPEC)
    sweep = Sweep(tmp_path, over, [0], how)
    sweep._note(Outcome(sweep.runs[0], {"test": {"accuracy": 0.5}}))
    with (tmp_path / "results.jsonl").open("a") as stream:
        stream.write(json.dumps({"values": [["rate", "2"]], "seed": 0})[:-5])
    assert Sweep(tmp_path, over, [0], how).left == [sweep.runs[1]]


@pytest.mark.slow
def test_a_worker_that_is_killed_costs_its_run_alone(tmp_path: Path) -> None:
    sweep = Sweep(tmp_path, [over_of("n=10,2,11")], [0], Settings(SPEC))
    found = {dict(o.run.values)["n"]: o.fault for o in sweep.go(dying.do_run, workers=2)}
    assert found["2"] == "its process was killed"
    assert found["10"] == found["11"] == ""
