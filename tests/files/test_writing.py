"""A file is the old one or the new one, whole, whenever it is looked at and whatever happens."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from netdsl.runtime.archive import read_npz, write_npz
from netdsl.runtime.atomic import write_atomic, write_text
from netdsl.runtime.errors import RunDirError

ROOT = Path(__file__).resolve().parents[2]
OLD, NEW = b"old " * 50_000, b"new " * 90_000


def in_pieces(content: bytes, look: Callable[[], None]) -> Callable[[IO[bytes]], None]:
    def write(stream: IO[bytes]) -> None:
        for start in range(0, len(content), 40_000):
            stream.write(content[start : start + 40_000])
            stream.flush()
            look()

    return write


def test_the_old_file_is_whole_until_the_new_one_is(tmp_path: Path) -> None:
    path = tmp_path / "weights.npz"
    write_atomic(path, in_pieces(OLD, lambda: None))
    seen: list[bytes] = []
    write_atomic(path, in_pieces(NEW, lambda: seen.append(path.read_bytes())))
    assert len(seen) == 9 and set(seen) == {OLD}
    assert path.read_bytes() == NEW
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "fault", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt(), ValueError()]
)
@pytest.mark.parametrize("there", [True, False])
def test_a_fault_in_the_middle(tmp_path: Path, fault: BaseException, there: bool) -> None:
    path = tmp_path / "weights.npz"
    if there:
        path.write_bytes(OLD)

    def fail() -> None:
        raise fault

    expected = RunDirError if isinstance(fault, OSError) else type(fault)
    with pytest.raises(expected):
        write_atomic(path, in_pieces(NEW, fail))
    assert [file.read_bytes() for file in tmp_path.iterdir()] == ([OLD] if there else [])


@pytest.mark.parametrize("step", ["fsync", "replace", "chmod"])
def test_a_fault_of_the_system(tmp_path: Path, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "params.json"
    path.write_bytes(OLD)

    def fail(*_: object, **__: object) -> None:
        assert path.read_bytes() == OLD
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(RunDirError) as caught:
        write_text(path, "new")
    monkeypatch.undo()
    assert caught.value.code == "E0723" and path.read_bytes() == OLD
    assert list(tmp_path.iterdir()) == [path]


def test_content_is_on_the_disk_before_it_takes_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, order = tmp_path / "x", []
    for step in ("fsync", "replace"):
        real = getattr(os, step)

        def noted(*args: object, _real: object = real, _step: str = step, **more: object) -> object:
            order.append(_step)
            return _real(*args, **more)  # type: ignore[operator]

        monkeypatch.setattr(os, step, noted)
    write_text(path, "new")
    assert order[:2] == ["fsync", "replace"]


def test_readers_never_see_half(tmp_path: Path) -> None:
    path = tmp_path / "state.npz"
    arrays = [{"w": np.full((300, 300), float(k))} for k in range(2)]
    write_npz(path, arrays[0])
    stop = threading.Event()

    def write() -> None:
        for k in range(60):
            write_npz(path, arrays[k % 2])
        stop.set()

    writer = threading.Thread(target=write)
    writer.start()
    while not stop.is_set():
        found = read_npz(path)["w"]
        assert found.shape == (300, 300) and (found == found[0, 0]).all()
    writer.join()


KILLED = """
import sys, time
from pathlib import Path
from netdsl.runtime.atomic import write_atomic
def write(stream):
    stream.write(b"half")
    stream.flush()
    print("writing", flush=True)
    time.sleep(60)
write_atomic(Path(sys.argv[1]), write)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="locks are those of POSIX")
def test_a_killed_writer_leaves_the_old_file_and_the_next_one_tidies_up(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.npz"
    path.write_bytes(OLD)
    mine = tmp_path / ".checkpoint.npz.notes.tmp"
    mine.write_text("not netdsl's")
    processes = []
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )  # fmt: skip
        assert process.stdout is not None and process.stdout.readline() == "writing\n"
        processes.append(process)
    processes[0].send_signal(signal.SIGKILL)
    processes[0].wait()
    assert path.read_bytes() == OLD and len(list(tmp_path.iterdir())) == 4
    write_text(path, "new")
    assert path.read_text() == "new" and len(list(tmp_path.iterdir())) == 3  # one still writes
    processes[1].kill()
    processes[1].wait()
    write_text(path, "newer")
    assert sorted(tmp_path.iterdir()) == [mine, path]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are POSIX's")
def test_what_is_no_file_stays_what_it_is(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "pipe", tmp_path / "folder", Path("/dev/null")):
        with pytest.raises(RunDirError) as caught:
            write_text(path, "new")
        assert caught.value.code == "E0723"
    assert Path("/dev/null").is_char_device() and len(list(tmp_path.iterdir())) == 2
