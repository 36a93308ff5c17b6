"""Fixtures of all tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import Command


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("netdsl")
    group.addoption("--fuzz", type=int, default=400, help="how many mutated specs are examined")
    group.addoption("--fuzz-seed", type=int, default=0, help="which ones")


@pytest.fixture
def netdsl(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Command:
    """The command line, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return Command(capsys, tmp_path)
