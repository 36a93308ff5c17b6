"""The cache of the tables never decides whether a text can be parsed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_PROGRAM = "from netdsl.syntax.parser import parse; print(parse('let a = 1').ok)"


def _run(cache: Path) -> str:
    environment = {**os.environ, "NETDSL_CACHE": str(cache)}
    command = [sys.executable, "-c", _PROGRAM]
    return subprocess.run(command, env=environment, capture_output=True, text=True).stdout.strip()


def test_broken_entries_are_replaced(tmp_path: Path) -> None:
    assert _run(tmp_path) == "True"
    (entry,) = (tmp_path / "grammar").iterdir()
    whole = entry.read_bytes()
    entry.write_bytes(whole[:1000])
    assert _run(tmp_path) == "True"
    assert len(entry.read_bytes()) > 1000


def test_unusable_folder(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert _run(blocked) == "True"


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="ownership of files is checked on POSIX")
def test_entries_that_others_may_write_are_not_loaded(tmp_path: Path) -> None:
    assert _run(tmp_path) == "True"
    (entry,) = (tmp_path / "grammar").iterdir()
    entry.write_bytes(b"cos\nsystem\n(S'echo harm'\ntR.")
    entry.chmod(0o666)
    assert _run(tmp_path) == "True"
