"""Fixtures of all tests."""

from __future__ import annotations

import copy
import functools
import gc
import os
from pathlib import Path

import pytest

from netdsl.backends.native import compiler
from netdsl.runtime.data import source
from netdsl.syntax import parser
from tests import amounts
from tests.cli.command import Command

amounts.register()
# A text of 360 kB, which hundreds of tests would read anew.
_digits = functools.cache(source.BUILTIN["digits"])
source.BUILTIN["digits"] = lambda: copy.deepcopy(_digits())


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("netdsl")
    group.addoption("--fuzz", type=int, default=0, help="how many mutated specs are examined")
    group.addoption("--fuzz-seed", type=int, default=0, help="which ones")


def pytest_configure(config: pytest.Config) -> None:
    """All processes of the test run share one cache of kernels, kept between runs of a checkout."""
    if "NETDSL_CACHE" not in os.environ and hasattr(config, "cache") and config.cache is not None:
        os.environ["NETDSL_CACHE"] = str(config.cache.mkdir("netdsl"))


def pytest_collection_finish() -> None:
    """What all tests share. What they are made of stays, so the collector need not look at it each
    time; a text that a specification is made of is parsed once."""
    parser.parse = functools.lru_cache(256)(parser.parse)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


# Folders whose tests are about what the C compiler makes of our code, with the options that ship.
TUNED = ("backends", "codegen", "differential", "golden", "specs/test_shipped")


def quick(item: pytest.Item) -> bool:
    """Is C compiled without optimisation for a test, in a third of the time? In a short run also
    where a test does in float64 what it does in float32, too."""
    path = item.path.relative_to(Path(__file__).parent).as_posix()
    return not path.startswith(TUNED) or (amounts.short() and twice(item))


def twice(item: pytest.Item) -> bool:
    """Is this a test in float64 of what is tested in float32, too?"""
    return "float64" in item.name and item.path.parent.name in ("backends", "golden")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What is compiled with fewer options in a short run is tried again in a full one."""
    for item in filter(twice, items):
        item.add_marker(pytest.mark.varied)


@pytest.fixture(autouse=True)
def quick_compiler(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """C is compiled without optimisation where that is enough."""
    if quick(request.node):
        monkeypatch.setattr(compiler, "_TUNED", ("-O0", *compiler._TUNED[1:]))


@pytest.fixture
def netdsl(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Command:
    """The command line, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return Command(capsys, tmp_path)
