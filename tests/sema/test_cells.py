"""Cells: variables, the order of statements, spikes, traces and definitions."""

from __future__ import annotations

from netdsl.ir.expr import Apply, Const, Index, Reduce, Ref, apply
from netdsl.ir.network import Assign, DrawAssign, Integrate, Kind, Place, Spike, Type
from tests.sema.build import codes, network

LIF = """input i; state v = 0; d v/dt = (-v + i) / 20 ms; integrate v with euler;
  spike s when v > 1 { v := 0 }"""


def test_spiking_cell() -> None:
    found = network(top="dt = 2 ms", unit=LIF)
    integrate, spike, reset = found.populations["b"].body
    assert isinstance(integrate, Integrate)
    assert integrate.dt == 0.002 and integrate.method == "euler"
    assert integrate.equations[0][0] == "b.v"
    assert isinstance(spike, Spike)
    assert spike.condition == apply("gt", Ref("b.v"), Const(1))
    assert spike.margin == apply("sub", Ref("b.v"), Const(1))
    assert reset == Assign("b.v", apply("select", Ref("b.s"), Const(0), Ref("b.v")))
    assert found.table["b.s"].type is Type.BOOL


def test_refractory_blocks_and_holds() -> None:
    unit = LIF.replace("{ v := 0 }", "{ v := 0; refractory 4 ms hold v }")
    found = network(top="dt = 2 ms", unit=unit)
    body = found.populations["b"].body
    counter = found.table["b.s.refractory"]
    assert counter.kind is Kind.STATE and counter.init == Const(0)
    kept, integrate, put_back, spike, _, count = body
    assert isinstance(kept, Assign) and kept.target == "b.v.held"
    assert isinstance(integrate, Integrate)
    assert isinstance(put_back, Assign) and put_back.target == "b.v"
    assert isinstance(spike, Spike) and "b.s.refractory" in str(spike.condition)
    assert isinstance(count, Assign) and count.value.args[1] == Const(2)


def test_trace_of_the_library() -> None:
    unit = LIF + "; trace z of s { tau = 10 ms; jump = set; decay = linear }"
    found = network(top="dt = 2 ms", unit=unit)
    trace = found.populations["b"].body[-1]
    assert found.table["b.z"].of == "b.s" and found.table["b.z"].kind is Kind.TRACE
    kept = apply("mul", Ref("b.z"), Const(0.8))
    assert trace == Assign(
        "b.z", apply("select", apply("gt", Ref("b.s"), Const(0)), Const(1), kept)
    )


def test_additive_exponential_trace() -> None:
    found = network(top="dt = 2 ms", unit=LIF + "; trace z of s { tau = 10 ms }")
    value = found.populations["b"].body[-1].value
    assert isinstance(value, Apply) and value.function == "add"


def test_definitions_and_reductions() -> None:
    unit = "input i; state s = 0; def m = mean(i); def c = i - m; s := c; expose c"
    found = network(unit=unit)
    assert found.table["b.m"].definition == Reduce("mean", "population", Ref("b.i"))
    assert found.table["b.m"].place is Place.ROW and found.table["b.c"].place is Place.UNIT
    assert found.table["b.c"].exposed
    assert found.populations["b"].body == (Assign("b.s", Ref("b.c")),)


def test_when_inside_a_body_and_inheritance() -> None:
    top = "param deep : bool = true\nneuron base { input i; state s = 0; s := i }"
    unit = "extends base; when deep { population state l = 0; l := sum(s) } else { state q = 0 }"
    found = network(top=top, unit=unit)
    assert [s.target for s in found.populations["b"].body] == ["b.s", "b.l"]
    assert found.table["b.l"].place is Place.ROW and "b.q" not in found.table
    other = network({"deep": "false"}, top=top, unit=unit)
    assert "b.q" in other.table


def test_gradient_of_a_definition() -> None:
    unit = "input i; state s = 0; def f = s^2; s := grad(f, s) * i"
    (statement,) = network(unit=unit).populations["b"].body
    assert statement.value == apply("mul", apply("mul", Const(2), Ref("b.s")), Ref("b.i"))


def test_surrogate_gradient() -> None:
    unit = LIF.replace("{ v := 0 }", "{ surrogate triangle(damp = 0.3) }")
    top = "import std.surrogate { triangle }\ndt = 2 ms"
    found = network(top=top, unit=unit + "; def psi = grad(s, v); state q = 0; q := psi")
    spike = next(s for s in found.populations["b"].body if isinstance(s, Spike))
    assert spike.surrogate is not None
    assert found.table["b.psi"].definition == spike.surrogate


def test_entry_actions_and_draws() -> None:
    found = network(unit="input i; state s = 0; on phase { s := 0 }; q ~ normal(0, i); s := q")
    population = found.populations["b"]
    assert population.on_phase == (Assign("b.s", Const(0)),)
    draw = population.body[0]
    assert isinstance(draw, DrawAssign) and draw.draw.stream == "b.q"
    assert found.table["b.q"].kind is Kind.DRAW


def test_softmax_and_onehot() -> None:
    unit = "input i; state s = 0; def p = softmax(i); s := p - onehot(sample.label)"
    found = network(unit=unit)
    (statement,) = found.populations["b"].body
    assert Apply("eq", (Index(), Ref("sample.label"))) == statement.value.args[1]
    assert found.table["b.p"].place is Place.UNIT


def test_independent_errors_are_all_reported() -> None:
    unit = "input i; state s = 0; s := x + y; q := 1; s := x"
    assert codes(unit=unit) == ["E0101", "E0101", "E0101"]


def test_units_are_kept_for_display() -> None:
    unit = "input i : mV; state s : mV = 0 mV; s := i"
    found = network(unit=unit, weight="uniform(-1 mV, 1 mV)")
    assert found.table["b.i"].unit == "V" and found.table["W.w"].unit in ("V", "")
