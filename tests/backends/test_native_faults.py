"""Compilers that are missing, fail or hang; caches that are damaged, read-only or shared."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from netdsl.backends.native import NativeExecutor, available, cache, compiler
from netdsl.codegen.errors import BackendError
from tests.programs import initial_values, relaxation

pytestmark = pytest.mark.skipif(not available()[0], reason="no C compiler")
PROGRAM = relaxation()
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("NETDSL_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def make() -> NativeExecutor:
    executor = NativeExecutor(PROGRAM, initial_values(PROGRAM, 3), rows=3)
    executor.call("train.free", 2)
    assert np.isfinite(executor.read("h.r")).all()
    return executor


def start() -> subprocess.Popen[str]:
    """`make` in a process of its own."""
    code = "from tests.backends.test_native_faults import make; make(); print('done')"
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_second_time_comes_from_the_cache(own_cache):
    assert not make().cached
    assert make().cached
    assert len(cache.entries()) == 1
    assert cache.clear() == 2  # the object and its source
    assert cache.entries() == []
    assert not make().cached


def test_missing_compiler(monkeypatch):
    monkeypatch.setenv("CC", "/no/such/compiler -O9")
    with pytest.raises(BackendError, match="/no/such/compiler") as caught:
        make()
    assert caught.value.code == "E0810"
    assert "--backend numpy" in (caught.value.help or "")
    assert available() == (False, caught.value.message)


def test_no_compiler_at_all(monkeypatch, tmp_path):
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(compiler.importlib.util, "find_spec", lambda name: None)
    ok, reason = available()
    assert not ok and "no C compiler" in reason


def test_failing_compiler_is_quoted(monkeypatch, tmp_path):
    monkeypatch.setenv("CC", script(tmp_path / "cc", "echo 'line 3: out of ideas' >&2; exit 1"))
    with pytest.raises(BackendError, match="out of ideas") as caught:
        make()
    assert caught.value.code == "E0811"


def test_compiler_that_refuses_tuned_options(monkeypatch, tmp_path):
    real = compiler.find().command[0]
    text = f'case "$*" in *-march=native*) echo refused >&2; exit 1;; esac; exec {real} "$@"'
    monkeypatch.setenv("CC", script(tmp_path / "cc", text))
    (notice,) = make().notices
    assert "without them is slower: refused" in notice


def test_hanging_compiler(monkeypatch, tmp_path):
    monkeypatch.setenv("CC", script(tmp_path / "cc", "sleep 60"))
    monkeypatch.setenv("NETDSL_CC_TIMEOUT", "0.3")
    with pytest.raises(BackendError, match="within 0.3 s") as caught:
        make()
    assert caught.value.code == "E0812"


def test_damaged_object_is_made_again():
    # Made elsewhere: a file that this process has loaded must not shrink under it.
    assert start().communicate(timeout=120)[0].strip() == "done"
    path = cache.entries()[0].path
    path.write_bytes(path.read_bytes()[:1000])
    assert not make().cached
    assert make().cached


def test_cache_folder_that_cannot_be_written(monkeypatch, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    monkeypatch.setenv("NETDSL_CACHE", str(blocked))
    executor = make()
    assert len(executor.notices) == 1 and "cannot be written" in executor.notices[0]


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root writes anywhere")
def test_read_only_cache(own_cache):
    own_cache.mkdir()
    own_cache.chmod(0o500)
    assert make().notices
    own_cache.chmod(0o700)


def test_another_compiler_or_cpu_has_its_own_object(monkeypatch):
    make()
    monkeypatch.setattr(compiler, "cpu_identity", lambda: "another processor")
    assert not make().cached
    assert len(cache.entries()) == 2


def test_two_processes_at_once(own_cache):
    for process in [start() for _ in range(2)]:
        out, err = process.communicate(timeout=120)
        assert out.strip() == "done", err
    assert len(cache.entries()) == 1
    assert make().cached
