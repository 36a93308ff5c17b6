"""The cache folder: only ours is removed, only ours is loaded, nothing half made stays, a bound."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from netdsl.backends.native import cache
from netdsl.codegen.errors import BackendError
from netdsl.files.cache import GRAMMARS, KERNELS, distrust
from tests.cli.command import Command

ROOT = Path(__file__).resolve().parents[2]
KEYS = [f"{k:032x}" for k in range(9)]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NETDSL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NETDSL_DATA", str(tmp_path / "cache" / "data"))
    return tmp_path / "cache"


def made(key: str = KEYS[0], content: bytes = b"object") -> Path:
    """An object as the native backend makes it, without a compiler."""
    path, _ = cache.build(key, "source", lambda _, target: target.write_bytes(content) and None)
    return path


def test_clear_removes_only_what_netdsl_made(folder: Path, netdsl: Command) -> None:
    foreign = [
        "thesis.tex", "photos/cat.jpg", "native/notes.txt", "native/mine.so", "native/deep/x.c",
        "native/0123.so", "grammar/list.lalr", "data/mnist.npz", ".hidden",
        f"native/{KEYS[0]}.so.bak", f"{KEYS[0]}.c", f"other/{KEYS[0]}.c",
    ]  # fmt: skip
    for name in foreign:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    (folder / "native" / f"{KEYS[5]}.c").symlink_to(folder / "thesis.tex")
    (folder / "native").chmod(0o700)
    ours = [made(key) for key in KEYS[:3]]
    result = netdsl("cache")
    assert all(path.name in result.out for path in ours) and "thesis" not in result.out
    assert netdsl("cache", "--clear").code == 0
    assert not any(path.exists() for path in ours)
    assert all((folder / name).read_text() == "mine" for name in foreign)
    assert cache.entries() == [] and (folder / "native" / f"{KEYS[5]}.c").is_symlink()


def test_folders_and_files_are_private() -> None:
    before = os.umask(0o002)
    try:
        path = made()
    finally:
        os.umask(before)
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert not path.stat().st_mode & 0o077
    assert cache.find(KEYS[0]) == path


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="owners and rights are those of POSIX")
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o1777, 0o702])
def test_a_folder_that_others_may_write_to_is_not_used(folder: Path, mode: int) -> None:
    path = made()
    path.parent.chmod(mode)
    assert cache.find(KEYS[0]) is None
    again, reason = cache.build(KEYS[0], "source", lambda _, target: target.write_bytes(b"x"))
    assert "can be written by others" in reason and folder not in again.parents
    assert again.parent.stat().st_mode & 0o777 == 0o700
    path.parent.chmod(0o700)
    assert cache.find(KEYS[0]) == path


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="owners and rights are those of POSIX")
def test_a_folder_that_everybody_may_exchange_is_not_used(folder: Path) -> None:
    made()
    folder.chmod(0o777)
    assert cache.find(KEYS[0]) is None
    folder.chmod(0o1777)  # as /tmp is: nobody may rename what is another's
    assert cache.find(KEYS[0]) is not None


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="owners and rights are those of POSIX")
def test_a_file_that_others_may_write_to_is_not_loaded() -> None:
    path = made()
    path.chmod(0o777)
    assert cache.find(KEYS[0]) is None
    assert made() == path and cache.find(KEYS[0]) == path


@pytest.mark.skipif(not hasattr(os, "getuid") or os.getuid() != 0, reason="only root gives away")
def test_what_another_user_put_there_is_not_loaded(folder: Path) -> None:
    path = made()
    os.chown(path, 12345, 12345)
    assert cache.find(KEYS[0]) is None
    os.chown(path, 0, 0)
    assert cache.find(KEYS[0]) == path
    os.chown(path.parent, 12345, 12345)
    assert cache.find(KEYS[0]) is None and KERNELS.trusted(KEYS[0]) == []
    assert "another user" in cache.build(KEYS[1], "", lambda _, t: t.write_bytes(b"x") and None)[1]
    assert distrust(path.parent) == "belongs to another user"


def test_what_is_linked_from_elsewhere_is_not_loaded(tmp_path: Path) -> None:
    path = made()
    elsewhere = tmp_path / "planted"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    assert cache.find(KEYS[0]) is None


BUILD = """
import os, sys, time
from netdsl.backends.native import cache
def make(text, target):
    target.write_bytes(b"half")
    print("making", flush=True)
    time.sleep(60)
cache.build("f" * 32, "source", make)
"""
SAVE = """
import time
from netdsl.files.cache import GRAMMARS
from netdsl.files.writing import replace_file
def write(stream):
    stream.write(b"half")
    stream.flush()
    print("making", flush=True)
    time.sleep(60)
replace_file(GRAMMARS.open() / ("f" * 24 + ".lalr"), write)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="locks are those of POSIX")
def test_what_killed_processes_leave_is_removed_and_nothing_else(folder: Path) -> None:
    def start(code: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert process.stdout is not None and process.stdout.readline() == "making\n"
        return process

    killed, alive = [start(code) for code in (BUILD, SAVE)], [start(code) for code in (BUILD, SAVE)]
    try:
        for process in killed:
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert len(list(KERNELS.folder.iterdir())) == 2
        assert len(list(GRAMMARS.folder.iterdir())) == 2
        path = made()
        assert len(list(KERNELS.folder.iterdir())) == 3  # object, source, and what is being made
        GRAMMARS.open()
        assert len(list(GRAMMARS.folder.iterdir())) == 1
    finally:
        for process in alive:
            process.kill()
            process.wait()
    KERNELS.clear()
    GRAMMARS.clear()
    assert not path.exists()
    assert [*KERNELS.folder.iterdir(), *GRAMMARS.folder.iterdir()] == []


def test_what_was_used_last_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    for age, key in enumerate(KEYS[:6]):
        path = made(key, b"x" * 2**19)
        os.utime(path, (time.time() - 600 + age,) * 2)
        os.utime(path.parent / f"{key}.c", (time.time() - 600 + age,) * 2)
    assert cache.find(KEYS[0]) is not None  # which is a use
    monkeypatch.setenv("NETDSL_CACHE_SIZE", "1.6")
    made(KEYS[7], b"x" * 2**19)
    assert {entry.path.name[:32] for entry in cache.entries()} == {KEYS[7], KEYS[0], KEYS[5]}
    assert {entry.path.name[:32] for entry in KERNELS.entries()} == {KEYS[7], KEYS[0], KEYS[5]}
    monkeypatch.setenv("NETDSL_CACHE_SIZE", "0.001")
    assert made(KEYS[8], b"x" * 2**19).exists()
    for value in ("much", "-1", "nan", "0", "inf"):
        monkeypatch.setenv("NETDSL_CACHE_SIZE", value)
        with pytest.raises(BackendError) as caught:
            made(KEYS[8])
        assert caught.value.code == "E0860" and caught.value.help
