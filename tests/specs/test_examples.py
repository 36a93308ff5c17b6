"""The small examples check without a finding, are formatted, learn, and agree between backends."""

from __future__ import annotations

from pathlib import Path

import pytest

import netdsl
from netdsl.frontend import check
from netdsl.syntax.fmt import format_source

EXAMPLES = sorted((Path(__file__).resolve().parents[2] / "specs" / "examples").glob("*.net"))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_checks_without_a_finding(path: Path) -> None:
    assert [f"{d.code} {d.message}" for d in check(path).diagnostics] == []
    text = path.read_text(encoding="utf-8")
    assert format_source(text) == text


@pytest.mark.parametrize("backend", ["numpy", "native"])
@pytest.mark.parametrize(
    ("name", "metric", "low", "high"),
    [
        ("convolution", "accuracy", 0.5, 1),
        ("oja", "length", 0.8, 1.05),
        ("recurrent_rate", "accuracy", 0.6, 1),
        ("reward_modulated", "accuracy", 0.6, 1),
    ],
)
def test_learns_in_one_epoch(name: str, metric: str, low: float, high: float, backend: str) -> None:
    path = next(path for path in EXAMPLES if path.stem == name)
    result = netdsl.compile(path, backend=backend, seed=1).run(epochs=1)
    assert low < result.metrics["test"][metric] <= high
