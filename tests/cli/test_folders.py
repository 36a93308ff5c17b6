"""Pictures and code are written where that is possible; elsewhere a message says what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import SPEC, Command


@pytest.mark.parametrize("place", ["file", "file/below", "/proc/netdsl/below"])
def test_folders_that_cannot_be_made(netdsl: Command, place: str) -> None:
    _, made = netdsl.run("--quiet", "--epochs", "1")
    (netdsl.folder / "file").write_text("")
    for command in (
        ("compile", netdsl.folder / "toy.net", "--backend", "numpy"),
        ("plot", made),
        ("compare-runs", made),
    ):
        result = netdsl(*command, "--out", place)
        assert result.code in (1, 2), command
        assert "E0723" in result.err or "Usage" in result.err
        assert "E0899" not in result.err


def test_a_population_of_one_unit_is_drawn(netdsl: Command) -> None:
    text = SPEC.replace("count = 10", "count = 1").replace("onehot(sample.label)", "0.5")
    text = text.replace("limit 3 samples", "limit 20 samples")
    _, made = netdsl.run("--quiet", "--epochs", "1", text=text)
    result = netdsl("plot", made)
    assert result.code == 0, result.err
    assert "codes of one unit have no map" in result.err
    assert Path(made, "plots").is_dir()
