"""The walk yields every expression that a network holds, whatever holds it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from netdsl.checks.run import run
from netdsl.dataflow import walk
from netdsl.dataflow.flow import FlowGraph
from netdsl.dataflow.graph import NetworkGraph
from netdsl.dataflow.walk import Part, statement_parts, walk_network
from netdsl.diagnostics.span import Span
from netdsl.frontend import check
from netdsl.ir.expr import Expr, Reduce, Ref
from netdsl.ir.network import Network, Rule
from netdsl.ir.protocol import RunPhase, steps_of
from netdsl.locality import certify
from netdsl.locality.reach import reach
from netdsl.passes.lower.body import body_inputs
from netdsl.passes.lower.context import Context
from netdsl.passes.lower.invariant import Invariants

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


SPEC = """
edition 1
neuron source { state s = 0 }
neuron unit { input i; input k; state v = 0; state s = 0; state odd = 0
  v := 0.9 * v + i
  s := relu(v)
  odd := 0.5 * odd }
population a : source[64]
population b : unit[10]
rule hebb { dw = 0.01 * pre.s * post.s }
projection W : a -> b dense delay 1 step {
  weight w ~ uniform(-1, 1)
  deliver i += w * pre.s
  learn hebb()
}
projection R : b -> b dense delay 0 { weight w ~ uniform(-1, 1); deliver k += w * pre.s }
data digits { source = "digits"; batch = 20; split train = train; split test = test }
protocol train {
  each batch of digits.train {
    reset
    clamp a.s = sample.image
    phase run 5 steps learning
  }
}
readout y = b.s
"""


@dataclasses.dataclass(frozen=True)
class Nudge:
    """A kind of statement that the language does not have."""

    target: str
    value: Expr
    span: Span | None = dataclasses.field(default=None, compare=False)


@statement_parts.register
def _(statement: Nudge) -> list[Part]:
    return [("statement", statement.target, statement.value, statement.span)]


def network_of(text: str = SPEC) -> Network:
    checked = check(text, lower=False)
    return checked.require()


def nudged(target: str, value: Expr) -> Network:
    network = network_of()
    population = network.populations["b"]
    statement: Any = Nudge(target, value)
    changed = dataclasses.replace(population, body=(statement, *population.body))
    return dataclasses.replace(network, populations={**network.populations, "b": changed})


def codes(network: Network) -> list[str]:
    return [d.code for d in run(network)]


def test_all_see_a_new_kind_of_statement() -> None:
    """Told to the walk alone, it is seen by every check, by locality and by passes."""
    assert codes(network_of()) == ["L0603"]  # of `odd`
    assert codes(nudged("b.v", Ref("b.odd"))) == []
    assert "E0522" in codes(nudged("b.v", Ref("b.s", time="@never")))
    assert "E0501" in codes(nudged("b.s", Ref("b.k")))
    network = nudged("b.v", Reduce("mean", "batch", Ref("b.v")))
    assert certify(network)["W"].sample == "cross-sample"
    assert "E0303" in [d.code for d in certify(nudged("b.v", Ref("a.s"))).diagnostics]
    population = nudged("b.v", Ref("b.k")).populations["b"]
    assert "b.k" in body_inputs(Context(nudged("b.v", Ref("b.k"))), population)
    edges = NetworkGraph(nudged("b.v", Ref("a.s"))).edges
    assert ("a", "b", "statement") in {(e.source.name, e.target.name, e.kind) for e in edges}


def test_all_see_a_new_place_for_an_expression(monkeypatch: pytest.MonkeyPatch) -> None:
    """One more section of rules, told to the walk alone."""
    sections, added = walk._sections, []  # noqa: SLF001

    def more(rule: Rule) -> Iterator[tuple[str, str, Expr, Any]]:
        yield from sections(rule)
        yield from (("novel", "", expr, rule) for expr in added)

    monkeypatch.setattr(walk, "_sections", more)
    network = network_of()
    rule, projection = network.projections["W"].rule, network.projections["W"]
    assert rule is not None
    added.append(Ref("b.odd", "post"))
    network = dataclasses.replace(network)
    assert codes(network) == []
    assert "post.odd" in certify(network)["W"].reads
    assert "b.odd" in reach(FlowGraph(network), projection, rule, frozenset())
    added.append(Ref("b.s", "post", "@never"))
    assert "E0522" in codes(dataclasses.replace(network))
    added[:] = [Ref("b.k", "post")]
    phase = next(s for s in steps_of(network.protocols["train"].body) if isinstance(s, RunPhase))
    facts = Invariants(Context(network), phase, {}, set())
    assert "b.k" in facts.needed_inputs()
