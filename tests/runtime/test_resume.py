"""Runs that go on: as they were begun, one at a time, from any moment, from any folder."""

from __future__ import annotations

import os
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netdsl.runtime.rundir import RunDir
from netdsl.runtime.training import Training
from tests.cli.command import Command, Result
from tests.runtime.carrying import EVALUATE, text, write
from tests.runtime.stopping import PRE, SHORT, Stop, stopped

ROOT = Path(__file__).parents[2]


def metrics(result: Result) -> list[str]:
    return [line for line in result.out.splitlines() if re.match(r"(dev|test): ", line)]


def same_files(run: Path, other: Path) -> None:
    for name in ("weights.npz", "metrics.jsonl"):
        assert (run / name).read_bytes() == (other / name).read_bytes(), name


def test_the_printed_command_goes_on(netdsl: Command, stop: Stop) -> None:
    stop.batches = -1
    whole, reference = netdsl.run("--quiet", text=PRE)
    stop.batches = 2
    begun, run = netdsl.run("--quiet", text=PRE)
    stop.batches = -1
    (command,) = re.findall("continue with: netdsl (.*)", begun.out)
    done = netdsl(*shlex.split(command), "--quiet")
    assert done.code == 0 and metrics(done) == metrics(whole)
    same_files(run, reference)


def test_the_protocol_goes_on(netdsl: Command, stop: Stop) -> None:
    stop.batches = -1
    _, reference = netdsl.run("--quiet", "--protocol", "pre", text=PRE)
    run = stopped(netdsl, stop, "--protocol", "pre", spec=PRE)
    refused = netdsl("run", "--resume", run, "--protocol", "train", "--quiet")
    assert refused.code == 1 and "E0761" in refused.err and "has protocol pre" in refused.err
    assert netdsl("run", "--resume", run, "--quiet").code == 0
    same_files(run, reference)
    assert {row["epoch"] for row in RunDir.open(run).metrics()} == {3}  # the test after `pre`


def test_one_process_at_a_time(netdsl: Command, stop: Stop) -> None:
    run = stopped(netdsl, stop)
    with RunDir.open(run).locked():
        refused = netdsl("run", "--resume", run, "--quiet")
        assert refused.code == 1 and "error[E0760]" in refused.err
    assert netdsl("run", "--resume", run, "--quiet").code == 0


OTHER = {
    "spec": ("run", "other.net"),
    "set": ("run", "--set", "rate=0.06"),
    "seed": ("run", "--seed", "4"),
    "dtype": ("run", "--dtype", "float64"),
    "limit": ("run", "--limit", "20"),
    "epochs": ("run", "--epochs", "0"),
    "data": ("run", "--data", "digits=other.npz"),
    "protocol": ("run", "--protocol", "pre"),
}


@pytest.mark.parametrize("what", OTHER)
def test_another_experiment_is_refused(what: str, netdsl: Command, stop: Stop) -> None:
    run = stopped(netdsl, stop, spec=PRE)
    netdsl.spec(PRE.replace("0.5 *", "0.4 *"), "other.net")
    write_data(Path("other.npz"))
    before = {file: file.read_bytes() for file in run.iterdir()}
    refused = netdsl(*OTHER[what], "--resume", run, "--quiet")
    assert refused.code == 1 and "error[E0761]" in refused.err, refused.err
    assert {file: file.read_bytes() for file in run.iterdir()} == before
    assert netdsl("run", "--resume", run, "--quiet").code == 0


def write_data(path: Path, seed: int = 0) -> None:
    draw = np.random.default_rng(seed)
    made: dict[str, Any] = {}
    for split, rows in (("train", 200), ("test", 60)):
        made[f"{split}_image"] = draw.random((rows, 8, 8), np.float32)
        made[f"{split}_label"] = draw.integers(0, 10, rows)
    np.savez(path, **made)


def test_what_was_edited_is_another_experiment(netdsl: Command, stop: Stop) -> None:
    write_data(Path("own.npz"))
    run = stopped(netdsl, stop, "--data", "digits=own.npz")
    for path, change in (
        (run / "spec.net", lambda old: old.replace(b"0.5 *", b"0.4 *")),
        (run / "params.json", lambda old: old.replace(b'"seed": 0', b'"seed": 1')),
        (run / "params.json", lambda old: old.replace(b'"limit": null', b'"limit": 20')),
    ):
        old = path.read_bytes()
        path.write_bytes(change(old))
        refused = netdsl("run", "--resume", run, "--quiet")
        assert refused.code == 1 and "error[E0761]" in refused.err
        path.write_bytes(old)
    write_data(Path("own.npz"), seed=1)
    for command in (("run", "--resume", run, "--quiet"), ("eval", run)):
        refused = netdsl(*command)
        assert refused.code == 1 and "error[E0761]" in refused.err
    assert netdsl("eval", run, "--data", "digits=own.npz").code == 0
    shutil.move("own.npz", "moved.npz")
    write_data(Path("moved.npz"))
    moved = netdsl("run", "--resume", run, "--data", "digits=moved.npz", "--quiet")
    assert moved.code == 0, moved.err
    assert netdsl("eval", run).code == 0


def test_more_epochs_other_backends_and_versions_are_said_and_noted(
    netdsl: Command, stop: Stop
) -> None:
    stop.batches = -1
    _, reference = netdsl.run("--quiet", "--epochs", "4", text=SHORT)
    _, run = netdsl.run("--quiet", "--epochs", "1", text=SHORT)
    versions = run / "versions.json"
    versions.write_text(versions.read_text().replace('"numpy": "', '"numpy": "0.'))
    done = netdsl("run", "--resume", run, "--epochs", "3", "--quiet")
    assert done.code == 0 and "epochs was 1 and is 3" in done.err and "numpy was 0." in done.err
    assert set(RunDir.open(run).params()["resumed"][0]["changed"]) == {"epochs", "numpy"}
    assert RunDir.open(run).params()["epochs"] == 3
    done = netdsl("run", "--resume", run, "--epochs", "4", "--quiet")
    assert done.code == 0 and "numpy" not in done.err
    assert RunDir.open(run).params()["epochs"] == 4
    weights = [RunDir.open(path).weights()["W.w"] for path in (run, reference)]
    np.testing.assert_array_equal(*weights)


# ------------------------------------------------------------- other folders


LAYOUTS = {
    "data": {"own.net": SHORT.replace('source = "digits"', 'source = "./own.npz"')},
    "below": {
        "own.net": 'edition 1\nuse "sub/base.net" with rate = 0.06\n',
        "sub/base.net": SHORT.replace('source = "digits"', 'source = "./own.npz"'),
    },
    "clash": {"own.net": 'edition 1\nuse "spec.net" with rate = 0.06\n', "spec.net": SHORT},
    "deep": {
        "own.net": 'edition 1\nuse "sub/spec.net"\n',
        "sub/spec.net": 'edition 1\nuse "own.net" with rate = 0.07\n',
        "sub/own.net": SHORT,
    },
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_runs_stand_on_their_own(
    layout: str, netdsl: Command, stop: Stop, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Path("project")
    for name, content in LAYOUTS[layout].items():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text(content)
    write_data(project / "own.npz")
    arguments = ("--backend", "numpy", "--out", "runs", "--quiet")
    stop.batches = -1
    whole = netdsl("run", project / "own.net", *arguments)
    assert whole.code == 0, whole.err
    stop.batches = 2
    begun = netdsl("run", project / "own.net", *arguments)
    stop.batches = -1
    for name in LAYOUTS[layout]:
        (project / name).unlink()
    reference, run = sorted(Path("runs").resolve().iterdir())
    Path("elsewhere").mkdir()
    (command,) = re.findall("continue with: netdsl (.*)", begun.out)
    done = netdsl(*shlex.split(command), "--quiet")
    assert done.code == 0, done.err
    same_files(run, reference)
    monkeypatch.chdir("elsewhere")
    for place in (reference, run):
        again = netdsl("run", place / "spec.net", "--resume", place, "--quiet")
        assert again.code == 0, again.err
        judged = netdsl("eval", place)
        assert judged.code == 0, judged.err
        assert judged.out.split("  (")[0] in whole.out


def test_eval_repeats_the_figures_of_a_run(netdsl: Command) -> None:
    spec = text(evaluate=EVALUATE + "\n    checkpoint best by accuracy on dev")
    # What a test reads may change with the epoch, too.
    spec = spec.replace("clamp a.p = sample.image\n", "clamp a.p = sample.image / (1 + epoch)\n")
    for backend in ("numpy", "native"):
        path = netdsl.spec(spec)
        done = netdsl("run", path, "--backend", backend, "--out", backend, "--quiet")
        assert done.code == 0, done.err
        (run,) = Path(backend).iterdir()
        held = RunDir.open(run)
        for split in ("test", "dev"):
            judged = netdsl("eval", run, "--split", split)
            assert judged.out.split("  (")[0] in metrics(done)
        best = max(
            (row for row in held.metrics() if row["split"] == "dev"), key=lambda r: r["accuracy"]
        )
        judged = netdsl("eval", run, "--split", "dev", "--best")
        assert f"accuracy {best['accuracy']:.4g}" in judged.out


# ------------------------------------------------------------- at any moment


@pytest.mark.slow
def test_every_batch_may_be_a_checkpoint(
    netdsl: Command, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A process that ends without a word after any batch goes on from the last checkpoint."""
    spec = write(tmp_path, evaluate=EVALUATE)
    common = ("--backend", "numpy", "--quiet", "--checkpoint-every", "0")
    assert netdsl("run", spec, *common, "--out", "whole").code == 0
    (reference,) = Path("whole").iterdir()
    plain = Training.before_batch
    for batches in range(8):

        def die(training: Training, interpreter: Any) -> None:
            plain(training, interpreter)
            if interpreter.place.batches == batches:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(Training, "before_batch", die)
            assert netdsl("run", spec, *common, "--out", f"cut{batches}").code == 130
        (run,) = Path(f"cut{batches}").iterdir()
        found = RunDir.open(run).checkpoint()
        assert found is not None and found[1]["place"]["batches"] == batches
        assert netdsl("run", "--resume", run, "--quiet").code == 0
        same_files(run, reference)


def test_no_checkpoint_yet(netdsl: Command, stop: Stop) -> None:
    stop.batches = -1
    _, reference = netdsl.run("--quiet", text=SHORT)
    run = stopped(netdsl, stop)
    (run / "checkpoint.npz").unlink()
    assert netdsl("run", "--resume", run, "--quiet").code == 0
    same_files(run, reference)


def test_time_between_checkpoints(netdsl: Command) -> None:
    for given in ("soon", "-1", "1d", "", "nan", "1e3"):
        result = netdsl("run", netdsl.spec(), "--checkpoint-every", given)
        assert result.code == 2 and "no time such as" in result.err


@pytest.mark.parametrize("ending", ["epochs", "batches"])
def test_a_stop_in_the_last_test(
    ending: str, netdsl: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All is learnt then: what goes on is the test alone."""
    spec = SHORT
    if ending == "batches":  # no epoch ends, so nothing was saved yet
        head, _, tail = SHORT.partition("  each epoch {\n")
        body, _, rest = tail.partition("    evaluate test")
        spec = head + body + "}\n" + rest.split("\n  }\n}\n", 1)[1]
    _, reference = netdsl.run("--quiet", text=spec)
    plain = Training._test

    def ask(training: Training, *args: Any) -> None:
        signal.raise_signal(signal.SIGINT)
        plain(training, *args)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "_test", ask)
        result, run = netdsl.run("--quiet", text=spec)
    assert result.code == 130, result.err
    assert run != reference
    seen: list[int] = []
    before = Training.before_batch
    monkeypatch.setattr(Training, "before_batch", lambda *args: (seen.append(1), before(*args)))
    assert netdsl("run", "--resume", run, "--quiet").code == 0
    assert not seen
    same_files(run, reference)


@pytest.mark.slow
def test_killed_at_random(tmp_path: Path) -> None:
    """`kill -9` at random moments, again and again, until the run ends by itself."""
    spec = write(tmp_path, evaluate=EVALUATE)
    command = [sys.executable, "-m", "netdsl.cli.main", "run", "--quiet", "--checkpoint-every", "0"]
    options = ["--epochs", "12", "--backend", "numpy", "--out"]
    where: dict[str, Any] = {"cwd": tmp_path, "env": {**os.environ, "PYTHONPATH": str(ROOT)}}
    subprocess.run([*command, str(spec), *options, "whole"], check=True, **where)
    (reference,) = (tmp_path / "whole").iterdir()
    draw = random.Random(1)
    place: Path | None = None
    kills, code = 0, 1
    while code:
        args = ["--resume", str(place)] if place else [str(spec), *options, "cut"]
        process = subprocess.Popen([*command, *args], stderr=subprocess.DEVNULL, **where)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            made = list((tmp_path / "cut").glob("*/checkpoint.npz"))
            if made and (place is None or kills < 3):
                place = made[0].parent
                time.sleep(draw.random())
                os.kill(process.pid, signal.SIGKILL)
                kills += 1
                break
            time.sleep(0.01)
        code = process.wait()
        assert kills < 20
    assert place is not None
    same_files(place, reference)
    assert not list(place.glob(".*.tmp"))


# ------------------------------------------------------------- protocols


def test_a_protocol_that_takes_a_split(netdsl: Command) -> None:
    result = netdsl("run", netdsl.spec(SHORT), "--protocol", "test")
    assert result.code == 1 and "error[E0743]" in result.err and "takes a split" in result.err


def test_usage(netdsl: Command) -> None:
    assert netdsl("run").code == 2
    assert netdsl("run", "--resume", "nowhere").code == 1
