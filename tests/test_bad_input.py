"""Bad input: every mistake gets a message with a code, a place and a way out, and no traceback."""

from __future__ import annotations

import errno
import gzip
import os
import signal
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from netdsl.runtime.archive import read_npz
from netdsl.runtime.atomic import write_text
from netdsl.runtime.errors import RunDirError
from netdsl.runtime.rundir import RunDir
from tests.cli.command import SPEC, Command

ROOT = Path(__file__).resolve().parent.parent


def check(netdsl: Command, text: str) -> str:
    """What `check` says of a bad spec."""
    result = netdsl("check", netdsl.spec(text))
    assert result.code == 1, result.out
    return result.err


def run(netdsl: Command, *args: str | Path, text: str = SPEC) -> str:
    """What `run` says, which must fail before it makes a run directory."""
    result, made = netdsl.run("--quiet", *args, text=text)
    assert result.code == 1, result.out
    assert not made.name.startswith("toy-")
    return result.err


def test_missing_file(netdsl: Command) -> None:
    result = netdsl("check", "nowhere.net")
    assert result.code == 1
    assert "error[E0007]: there is no file `nowhere.net`" in result.err


def test_bad_utf8(netdsl: Command) -> None:
    path = netdsl.spec()
    path.write_bytes(SPEC.encode() + b"# \xff\xfe\n")
    result = netdsl("check", path)
    assert result.code == 1
    assert "error[E0008]" in result.err and f"toy.net:{SPEC.count(chr(10)) + 1}:3" in result.err


def test_unclosed_brace(netdsl: Command) -> None:
    said = check(netdsl, SPEC.replace("neuron pixel { state v = 0 }", "neuron pixel { state v = 0"))
    assert "toy.net:5" in said and "{" in said


@pytest.mark.parametrize("body", ["r := r + jj", "rr := r + j"])
def test_unknown_name_on_either_side(netdsl: Command, body: str) -> None:
    said = check(netdsl, SPEC.replace("r := r + 0.5 * (j - r)", body))
    assert "error[E0101]" in said and "toy.net:6" in said and "did you mean" in said


def test_wrong_unit(netdsl: Command) -> None:
    text = SPEC.replace("param rate = 0.05", "dt = 1 ms\nparam rate = 0.05 + 3 ms")
    said = check(netdsl, text)
    assert "error[E02" in said and "toy.net:5" in said


def test_zero_delay_cycle(netdsl: Command) -> None:
    extra = (
        "population back : unit[n]\n"
        "projection A : out -> back one_to_one delay 0 { deliver j += pre.r }\n"
        "projection B : back -> out one_to_one delay 0 { deliver j += pre.r }\n"
    )
    said = check(netdsl, SPEC + extra)
    assert "error[E0501]" in said and "`out" in said and "`back" in said


def test_negative_size(netdsl: Command) -> None:
    said = check(netdsl, SPEC.replace("param n : count = 10", "param n : count = -10"))
    assert "error[E0" in said and "toy.net:" in said


def test_label_count_does_not_match(netdsl: Command) -> None:
    said = run(netdsl, "--set", "n=7")
    assert "error[E0746]" in said
    assert "10 classes" in said and "`out`" in said and "7 units" in said
    assert "toy.net:22" in said


def test_image_size_does_not_match(netdsl: Command) -> None:
    said = run(netdsl, text=SPEC.replace("row: 8", "row: 9"))
    assert "error[E0745]" in said and "64 values (8 x 8)" in said and "72 units" in said


def idx(path: Path, images: int = 50, magic: int = 0x803, cut: int = 0) -> None:
    """IDX files of 8 x 8 images and labels; `cut` bytes are missing from the images."""
    body = struct.pack(">iiii", magic, images, 8, 8) + bytes(images * 64)
    labels = struct.pack(">ii", 0x801, images) + bytes(i % 10 for i in range(images))
    for split in ("train", "t10k"):
        (path / f"{split}-images-idx3-ubyte").write_bytes(body[: len(body) - cut])
        (path / f"{split}-labels-idx1-ubyte").write_bytes(labels)


def test_truncated_idx(netdsl: Command) -> None:
    idx(netdsl.folder, cut=100)
    said = run(netdsl, "--data", f"digits={netdsl.folder}")
    assert "error[E0704]" in said and "images-idx3-ubyte" in said and "toy.net:15" in said


def test_idx_with_a_wrong_magic_number(netdsl: Command) -> None:
    idx(netdsl.folder, magic=0x12345678)
    said = run(netdsl, "--data", f"digits={netdsl.folder}")
    assert "error[E0703]" in said


def test_damaged_gzip(netdsl: Command) -> None:
    idx(netdsl.folder)
    plain = netdsl.folder / "train-images-idx3-ubyte"
    packed = gzip.compress(plain.read_bytes())
    plain.unlink()
    Path(f"{plain}.gz").write_bytes(packed[: len(packed) // 2])
    assert "error[E0705]" in run(netdsl, "--data", f"digits={netdsl.folder}")


def test_nan_in_data(netdsl: Command) -> None:
    image = np.zeros((700, 64), np.float32)
    image[17, 5] = np.nan
    label = np.arange(700) % 10
    np.savez("nan.npz", train_image=image, train_label=label, test_image=image, test_label=label)
    said = run(netdsl, "--data", "digits=nan.npz")
    assert "error[E0707]" in said and "sample 17" in said and "element 5" in said


def test_unknown_data_name_and_missing_path(netdsl: Command) -> None:
    said = run(netdsl, "--data", "digit=x")
    assert "error[E0701]" in said and "did you mean `digits`" in said
    assert "error[E0702]" in run(netdsl, "--data", "digits=nowhere")


def test_unknown_parameter(netdsl: Command) -> None:
    said = run(netdsl, "--set", "raet=1")
    assert "E0111" in said and "did you mean `rate`" in said


def test_weight_file_of_another_shape(netdsl: Command) -> None:
    _, made = netdsl.run("--quiet", "--epochs", "1")
    np.savez("other.npz", **{"W.w": np.zeros((63, 10))})
    result = netdsl("eval", made, "--weights", "other.npz")
    assert result.code == 1 and "error[E0722]" in result.err and "(63, 10)" in result.err
    np.savez("other.npz", **{"W.ww": np.zeros((64, 10))})
    result = netdsl("eval", made, "--weights", "other.npz")
    assert "error[E0721]" in result.err and "did you mean `W.w`" in result.err


def test_more_memory_than_the_machine_has(netdsl: Command) -> None:
    extra = (
        "population big : unit[4000000]\n"
        "projection H : big -> big dense delay 1 step {\n"
        "  weight w = 0\n  deliver j += w * pre.r\n}\n"
    )
    said = run(netdsl, text=SPEC + extra)
    assert "error[E0820]" in said and "`H.w`" in said and "GiB" in said


def test_ctrl_c_saves_and_resumes(netdsl: Command) -> None:
    spec = netdsl.spec(SPEC.replace("epochs = 2", "epochs = 100000"))
    runs = netdsl.folder / "runs"
    command = [sys.executable, "-m", "netdsl.cli.main", "run", str(spec), "--backend", "numpy"]
    process = subprocess.Popen(
        [*command, "--out", str(runs)], stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert process.stderr is not None
    process.stderr.readline()  # the first epoch is done
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    made = next(runs.iterdir())
    assert f"--resume {made}" in out
    weights = RunDir.open(made).weights()["W.w"]
    assert np.abs(weights).max() > 0.1
    assert not list(made.glob(".*tmp*"))
    for file in made.glob("*.npz"):
        read_npz(file)
    epochs = len({row["epoch"] for row in RunDir.open(made).metrics()})
    done = netdsl(
        "run", made / "spec.net", "--resume", made, "--epochs", str(epochs + 1), "--quiet"
    )
    assert done.code == 0, done.err
    assert RunDir.open(made).metrics()[-1]["split"] == "test"


def test_disk_full_in_mid_write_leaves_the_old_file(
    netdsl: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = netdsl.folder / "weights.txt"
    write_text(target, "old")

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunDirError, match="No space left") as caught:
        write_text(target, "new")
    assert caught.value.code == "E0723"
    assert target.read_text() == "old"
    assert [path.name for path in netdsl.folder.iterdir()] == ["weights.txt"]


def test_disk_full_during_a_run_is_a_message(
    netdsl: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = os.fsync

    def full(handle: int) -> None:
        if time.perf_counter() > start:
            raise OSError(errno.ENOSPC, "No space left on device")
        plain(handle)

    start = float("inf")
    _, made = netdsl.run("--quiet", "--epochs", "1")
    before = RunDir.open(made).weights()["W.w"]
    start = 0.0
    monkeypatch.setattr(os, "fsync", full)
    result = netdsl("run", made / "spec.net", "--resume", made, "--epochs", "2", "--quiet")
    assert result.code == 1
    assert "error[E0723]" in result.err and "free some space" in result.err
    np.testing.assert_array_equal(RunDir.open(made).weights()["W.w"], before)


def test_checkpoint_of_another_network(netdsl: Command) -> None:
    _, made = netdsl.run("--quiet", "--epochs", "1")
    other = netdsl.spec(SPEC.replace("count = 10", "count = 11"), "other.net")
    result = netdsl("run", other, "--resume", made, "--quiet")
    assert result.code == 1
    assert "error[E0722]" in result.err and "of another network" in result.err
