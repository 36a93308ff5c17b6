"""Behind every pass the programs of shipped specifications keep their promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from netdsl.frontend import check, lower_network
from tests.amounts import sweep

SPECS = sorted((Path(__file__).resolve().parents[2] / "specs").rglob("*.net"))


@pytest.mark.parametrize("form", ["auto", "online"])
@pytest.mark.parametrize(
    "path", sweep(SPECS, lambda path: path.stem in ("mdgl", "ep")), ids=lambda path: path.stem
)
def test_what_is_read_was_made(path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETDSL_CHECK", "1")
    lower_network(check(path, lower=False).require(), form=form)
