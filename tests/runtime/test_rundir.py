"""The run directory: round trips, damage, and writes that fail half-way."""

from __future__ import annotations

import datetime
import errno
import json
import math
import os
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest

from netdsl.runtime.archive import write_npz
from netdsl.runtime.atomic import write_atomic, write_text
from netdsl.runtime.errors import RunDirError
from netdsl.runtime.rundir import RunDir
from netdsl.runtime.state_file import check_state, read_state

STATE = {"W1.w": np.ones((2, 3), np.float32), "W1.adam.m": np.zeros((2, 3)), "file": np.arange(2)}


@pytest.fixture
def run(tmp_path: Path) -> RunDir:
    made = RunDir.create(tmp_path / "runs", "csdp")
    made.write_spec("edition 1\n")
    return made


def test_names_do_not_collide(tmp_path: Path) -> None:
    now = datetime.datetime(2024, 5, 6, 7, 8, 9)
    names = [RunDir.create(tmp_path, "my/../spec", now).path.name for _ in range(3)]
    assert names[1:] == [names[0] + "-2", names[0] + "-3"]
    assert names[0].endswith("-20240506-070809")
    assert all((tmp_path / name).is_dir() for name in names)


def test_round_trip(run: RunDir) -> None:
    run.write_params({"n_hid": np.int64(5), "rate": 0.1, "nested": {"a": [1, np.nan]}})
    run.write_versions({"backend": "numpy"})
    run.save_weights(STATE)
    run.save_weights(STATE, best=True)
    run.save_checkpoint(STATE, {"epoch": 3, "seed": 2**40})
    again = RunDir.open(run.path)
    assert again.spec() == "edition 1\n"
    assert again.params() == {"n_hid": 5, "rate": 0.1, "nested": {"a": [1, None]}}
    assert json.loads((run.path / "versions.json").read_text())["backend"] == "numpy"
    for loaded in (again.weights(), again.weights(best=True)):
        assert {k: v.tolist() for k, v in loaded.items()} == {
            k: v.tolist() for k, v in STATE.items()
        }
    checkpoint = again.checkpoint()
    assert checkpoint is not None
    assert set(checkpoint[0]) == set(STATE)
    assert checkpoint[1] == {"epoch": 3, "seed": 2**40}
    assert again.model() == {} and again.recordings() == {}


def test_metrics_are_lines_and_a_table(run: RunDir) -> None:
    run.log({"epoch": 0, "accuracy": np.float32(0.5)})
    run.log({"epoch": 1, "accuracy": float("nan")})
    run.log({"epoch": 2, "loss": 0.25})
    table = (run.path / "metrics.csv").read_text()
    assert table == "epoch,accuracy,loss\n0,0.5,\n1,,\n2,,0.25\n"
    assert math.isnan(run.metrics()[1]["accuracy"])


def test_metrics_survive_a_cut_off_line_and_go_on(run: RunDir) -> None:
    for epoch in range(3):
        run.log({"epoch": epoch})
    with (run.path / "metrics.jsonl").open("a") as stream:
        stream.write('{"epoch": 3')
    again = RunDir.open(run.path)
    assert len(again.metrics()) == 3
    again.truncate_metrics(2)
    again.log({"epoch": 9})
    assert [row["epoch"] for row in again.metrics()] == [0, 1, 9]
    assert (run.path / "metrics.csv").read_text() == "epoch\n0\n1\n9\n"


def test_damage_is_named(run: RunDir, tmp_path: Path) -> None:
    def code_of(action: Any) -> str:
        with pytest.raises(RunDirError) as caught:
            action()
        return caught.value.code

    assert code_of(lambda: RunDir.open(tmp_path / "none")) == "E0720"
    assert code_of(lambda: RunDir.open(tmp_path)) == "E0720"
    assert code_of(run.weights) == "E0720"
    assert code_of(run.params) == "E0720"
    (run.path / "params.json").write_text("{")
    assert code_of(run.params) == "E0724"
    run.save_weights(STATE)
    file = run.path / "weights.npz"
    file.write_bytes(file.read_bytes()[:-40])
    assert code_of(run.weights) == "E0724"
    np.savez(file, x=np.array([{}], dtype=object))
    assert code_of(run.weights) == "E0724"
    (run.path / "metrics.jsonl").write_text("nonsense\n")
    assert code_of(run.metrics) == "E0724"
    (tmp_path / "taken").write_text("")
    assert code_of(lambda: RunDir.create(tmp_path / "taken", "x")) == "E0723"


def test_state_must_fit_the_network() -> None:
    shapes = {"W1.w": (2, 3), "W1.adam.m": (2, 3)}
    good = {key: STATE[key] for key in shapes}
    check_state(good, shapes, "weights.npz")
    cases = [
        ({**good, "W1.adam.mm": STATE["W1.w"]}, "E0721", "W1.adam.mm"),
        ({"W1.w": STATE["W1.w"]}, "E0721", "W1.adam.m"),
        ({**good, "W1.w": np.ones((3, 2))}, "E0722", "(3, 2)"),
        ({**good, "W1.w": np.full((2, 3), "x")}, "E0722", "W1.w"),
    ]
    for state, code, text in cases:
        with pytest.raises(RunDirError) as caught:
            check_state(state, shapes, "weights.npz")
        assert caught.value.code == code
        assert text in caught.value.message


def test_full_disk_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "weights.npz"
    write_npz(file, STATE)
    before = file.read_bytes()

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunDirError) as caught:
        write_npz(file, {"other": np.zeros(9)})
    assert caught.value.code == "E0723"
    assert "No space left" in caught.value.message
    assert file.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["weights.npz"]


@pytest.mark.parametrize("fault", [KeyboardInterrupt, ValueError])
def test_an_interrupted_write_leaves_no_trace(tmp_path: Path, fault: type[BaseException]) -> None:
    write_text(tmp_path / "a.txt", "old")

    def write(stream: IO[bytes]) -> None:
        stream.write(b"half")
        raise fault

    with pytest.raises(fault):
        write_atomic(tmp_path / "a.txt", write)
    assert (tmp_path / "a.txt").read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["a.txt"]


def test_equal_arrays_give_equal_files_and_objects_are_refused(tmp_path: Path) -> None:
    write_npz(tmp_path / "a.npz", STATE)
    write_npz(tmp_path / "b.npz", STATE)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert set(read_state(tmp_path / "a.npz")) == set(np.load(tmp_path / "a.npz").files)
    with pytest.raises(ValueError, match="[Oo]bject"):
        write_npz(tmp_path / "c.npz", {"x": np.array([{}], dtype=object)})
    assert not (tmp_path / "c.npz").exists()
