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
from tests.amounts import sweep
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
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
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


ODD = {
    "gcc '-DX": "E0860",
    'gcc "': "E0860",
    "gcc \\": "E0860",
    "''": "E0810",
    "'gcc -O2'": "E0810",
    "X=1 gcc": "E0810",
    "gcc;true": "E0810",
    "$(touch P)": "E0810",
    "`touch P`": "E0810",
    "~/gcc": "E0810",
    ".": "E0810",
    "/tmp": "E0810",
    "/dev/null": "E0810",
    "gcc > P": "E0811",
    "true": "E0811",
    "false": "E0811",
    "echo": "E0811",
    "gcc -c": "E0814",
    "gcc -fno-such-option": "E0811",
    "SCRIPT exit 3": "E0811",
    "SCRIPT kill -9 $$": "E0811",
    "SCRIPT printf '\\377\\376\\033[2J'; exit 1": "E0811",
    "SCRIPT for a; do l=$p; p=$a; o=$l; done; mkdir -p $o; mkdir -p ${o%.c}.so": "E0811",
    "SCRIPT while :; do echo loud; done": "E0812",
    "SCRIPT sleep 60 & exit 1": "E0811",
}


@pytest.mark.parametrize(
    "text", sweep(ODD, lambda text: "echo loud" not in text and "sleep" not in text)
)
def test_odd_compilers_are_said(text, monkeypatch, netdsl, own_cache):
    left_behind = "sleep" in text
    if text.startswith("SCRIPT "):
        text, code = script(netdsl.folder / "my cc", text.removeprefix("SCRIPT ")), ODD[text]
        text = f"'{text}'"
    else:
        code = ODD[text]
    monkeypatch.setenv("CC", text)
    monkeypatch.setenv("NETDSL_CC_TIMEOUT", "0.3" if code == "E0812" else "2")
    if left_behind:  # it says nothing, and what it leaves behind is silent, too
        monkeypatch.setattr(compiler, "_LAST_WORDS", 0.2)
    options = ("--quiet", "--limit", "20", "--epochs", "1", "--out", "runs")
    result = netdsl("run", netdsl.spec(), "--backend", "native", *options)
    assert result.code == 1 and f"error[{code}]" in result.err and "help: " in result.err
    assert all(char.isprintable() or char == "\n" for char in result.err)
    result = netdsl("run", netdsl.spec(), *options)
    assert result.code == 0 and "native backend not used" in result.err
    assert not list(netdsl.folder.rglob("P")) and not list(own_cache.glob("native/*.so"))


@pytest.mark.parametrize("options", ["-DX", "'-DX=a b'", '"-DX=\\"a\\""', "  -O1  "])
def test_compilers_with_options_and_spaces(options, monkeypatch, tmp_path):
    real = compiler.find().command[0]
    (tmp_path / "my tools").mkdir()
    tool = script(tmp_path / "my tools" / "c c", f'exec {real} "$@"')
    monkeypatch.setenv("CC", f"'{tool}' {options}")
    assert not make().cached


@pytest.mark.parametrize("value", ["soon", "nan", "inf", "-1", "0"])
def test_odd_time_limits_are_said(value, monkeypatch):
    monkeypatch.setenv("NETDSL_CC_TIMEOUT", value)
    with pytest.raises(BackendError) as caught:
        make()
    assert caught.value.code == "E0860"


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


@pytest.mark.slow
def test_two_processes_at_once(own_cache):
    for process in [start() for _ in range(2)]:
        out, err = process.communicate(timeout=120)
        assert out.strip() == "done", err
    assert len(cache.entries()) == 1
    assert make().cached
