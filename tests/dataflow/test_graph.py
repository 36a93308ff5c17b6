"""Parts of a network and what reaches them, as edges, as NetworkX and as DOT."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from netdsl.dataflow.graph import NetworkGraph, Part
from netdsl.frontend import check
from netdsl.ir.network import Network
from netdsl.tools.dot import dot

ROOT = Path(__file__).resolve().parents[2]


def network(name: str) -> Network:
    return check(ROOT / "specs" / f"{name}.net", lower=False).require()


def edges(name: str) -> set[tuple[str, str, str]]:
    return {(e.source.name, e.target.name, e.kind) for e in NetworkGraph(network(name)).edges}


def test_every_kind_of_edge() -> None:
    found = edges("csdp")
    assert {
        ("h1", "h2", "projection"),
        ("h1", "good.h1", "modulator"),
        ("good.h1", "h1", "rule"),
        ("digits", "streams", "pairs"),
        ("streams", "ctx", "clamp"),
        ("test", "ctx", "clamp"),  # to a constant
        ("out", "counts", "readout"),
        ("digits", "nll", "metric"),
    } <= found


def test_a_modulator_reaches_each_rule_by_itself() -> None:
    graph = NetworkGraph(network("csdp"))
    reached = [e for e in graph.edges if e.source == Part("modulator", "good.h1")]
    assert {e.projection.name for e in reached if e.projection} == {"W1", "V2", "M1", "V2y"}
    assert all(e.carries == ("good.h1",) for e in reached)


def test_what_stays_inside_is_no_edge() -> None:
    inside = {(a, b) for a, b, kind in edges("csdp") if a == b and kind != "projection"}
    assert not inside
    assert ("h1", "h1", "set") in edges("pc")  # a protocol moves it


def test_networkx_has_the_same_parts_and_edges() -> None:
    graph = NetworkGraph(network("ep"))
    assert tuple(graph.networkx) == graph.parts
    assert [e["edge"] for *_, e in graph.networkx.edges(data=True)] != []
    assert graph.networkx.number_of_edges() == len(graph.edges)


@pytest.mark.parametrize("path", sorted((ROOT / "specs").rglob("*.net")), ids=lambda p: p.stem)
def test_dot_draws_each_declared_part_once(path: Path) -> None:
    found = check(path, lower=False).require()
    text = dot(found)
    declared = [
        *(f'"{name}" [' for name in found.populations),
        *(
            f'"modulator {m.variable}" [label="{m.variable}", shape=diamond'
            for m in found.modulators
        ),
        *(f'"data {name}" [label="{name}", shape=cylinder' for name in found.data),
        *(f'"readout {name}" [label="{name}", shape=note' for name in found.readouts),
    ]
    assert [text.count(f"  {node}") for node in declared] == [1] * len(declared)


@pytest.mark.parametrize("command", [["--help"], ["check", str(ROOT / "specs" / "ep.net")]])
def test_networkx_is_not_imported_where_nothing_asks_for_it(command: list[str]) -> None:
    run = f"import sys; from netdsl.cli.main import main; main({command!r})"
    code = f"{run}; assert 'networkx' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, cwd=ROOT)
