"""Fixtures of all tests."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests import amounts
from tests.cli.command import Command

amounts.register()


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("netdsl")
    group.addoption("--fuzz", type=int, default=400, help="how many mutated specs are examined")
    group.addoption("--fuzz-seed", type=int, default=0, help="which ones")


def pytest_configure(config: pytest.Config) -> None:
    """All processes of the test run share one cache of kernels, kept between runs of a checkout."""
    if "NETDSL_CACHE" not in os.environ and hasattr(config, "cache") and config.cache is not None:
        os.environ["NETDSL_CACHE"] = str(config.cache.mkdir("netdsl"))


@pytest.fixture
def netdsl(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Command:
    """The command line, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return Command(capsys, tmp_path)
