"""The walk yields every expression that a network holds, whatever holds it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from netdsl.dataflow.walk import walk_network
from netdsl.frontend import check
from netdsl.ir.expr import Expr

ROOT = Path(__file__).resolve().parents[2]
SPECS = [*sorted((ROOT / "specs").rglob("*.net")), *sorted((ROOT / "tests/valid").glob("*.net"))]


def held(value: object) -> Iterator[Expr]:
    """Expressions in a tree of dataclasses and containers, with no knowledge of what they are."""
    if isinstance(value, Expr):
        yield value
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from held(getattr(value, field.name))
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from held(part)
    elif isinstance(value, tuple | list | frozenset):
        for part in value:
            yield from held(part)


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_every_expression_is_met(path: Path) -> None:
    network = check(path, lower=False).require()
    met = {id(flow.expr) for flow in walk_network(network)}
    missed = [expr for expr in held(network) if id(expr) not in met]
    assert not missed
