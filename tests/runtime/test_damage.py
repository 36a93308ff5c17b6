"""Checkpoints and run directories that were cut off or changed: a code, never a traceback."""

from __future__ import annotations

import json
import random
import re
from typing import Any

import numpy as np
import pytest

from netdsl.runtime.archive import read_npz, write_npz
from netdsl.runtime.rundir import RunDir
from tests.amounts import up_to
from tests.cli.command import Command, Result
from tests.runtime.stopping import Stop, stopped


def damaged(counters: dict[str, Any]) -> list[dict[str, Any]]:
    """The counters of a checkpoint with every value replaced by others of the wrong kind."""
    found: list[dict[str, Any]] = []

    def visit(node: Any, path: tuple[Any, ...]) -> None:
        for wrong in (None, "x", -1, 1e9, [], {}, [1, 2, 3, 4, 5], {"x": "y"}):
            copy = json.loads(json.dumps(counters))
            inner = copy
            for key in path[:-1]:
                inner = inner[key]
            inner[path[-1]] = wrong
            found.append(copy)
        copy = json.loads(json.dumps(counters))
        inner = copy
        for key in path[:-1]:
            inner = inner[key]
        del inner[path[-1]]
        found.append(copy)
        items = (
            node.items()
            if isinstance(node, dict)
            else enumerate(node)
            if isinstance(node, list)
            else ()
        )
        for key, value in items:
            visit(value, (*path, key))

    for key, value in counters.items():
        visit(value, (key,))
    return found


def judged(result: Result) -> None:
    """Refused with a code of run directories, or done."""
    assert "E0899" not in result.err, result.err
    assert result.code == 0 or re.search(r"error\[E07[26]\d\]", result.err), result.err


@pytest.mark.varied
def test_damaged_counters(netdsl: Command, stop: Stop) -> None:
    run = stopped(netdsl, stop)
    found = RunDir.open(run).checkpoint()
    assert found is not None
    arrays, counters = found
    whole = (run / "checkpoint.npz").read_bytes()
    draw = random.Random(0)
    cases = damaged(counters)
    for case in draw.sample(cases, up_to(60)):
        RunDir.open(run).save_checkpoint(arrays, case)
        judged(netdsl("run", "--resume", run, "--quiet"))
        (run / "checkpoint.npz").write_bytes(whole)


@pytest.mark.slow
@pytest.mark.varied
def test_damaged_files(netdsl: Command, stop: Stop) -> None:
    run = stopped(netdsl, stop)
    kept = {file: file.read_bytes() for file in run.iterdir() if file.is_file()}
    draw = random.Random(0)
    names = ["checkpoint.npz", "params.json", "metrics.jsonl", "versions.json", "weights.npz"]
    for number in range(up_to(60)):
        file = run / names[number % len(names)]
        data = bytearray(kept.get(file, b""))
        if number % 3 == 0:
            data = data[: draw.randrange(len(data) + 1)]
        else:
            for _ in range(1 if number % 3 == 1 else 20):
                if data:
                    data[draw.randrange(len(data))] = draw.randrange(256)
        file.write_bytes(data)
        judged(netdsl("eval", run))
        judged(netdsl("run", "--resume", run, "--quiet"))
        for path, content in kept.items():
            path.write_bytes(content)


@pytest.mark.slow
def test_damaged_arrays(netdsl: Command, stop: Stop) -> None:
    run = stopped(netdsl, stop)
    whole = read_npz(run / "checkpoint.npz")
    kept = (run / "checkpoint.npz").read_bytes()
    for key, value in whole.items():
        for wrong in (
            np.zeros(3),
            np.array("x"),
            value[..., None],
            value[:1] if value.ndim else value,
            value.astype(complex) if value.dtype.kind == "f" else value.astype(str),
            None,
        ):
            arrays: dict[str, Any] = {**whole, key: wrong}
            if wrong is None:
                del arrays[key]
            write_npz(run / "checkpoint.npz", arrays)
            judged(netdsl("run", "--resume", run, "--quiet"))
            (run / "checkpoint.npz").write_bytes(kept)
