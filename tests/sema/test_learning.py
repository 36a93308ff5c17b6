"""Projections, rules, optimisers and modulators."""

from __future__ import annotations

import math

import pytest

from netdsl.ir.expr import ARRIVAL, NOW, PREV, SETTLED, Apply, Const, Index, Ref, apply, refs
from netdsl.ir.network import Draw, Kind, Place
from tests.sema.build import analysis, codes, network

HEBB = "rule hebb(rate = 0.1) { dw = rate * pre.s * post.s }"


def test_projection() -> None:
    found = network().projections["W"]
    assert (found.pre, found.post, found.delay, found.weight) == ("a", "b", 1, "W.w")
    (deliver,) = found.delivers
    assert deliver.input == "b.i"
    assert deliver.value == apply("mul", Ref("W.w", "synapse"), Ref("a.s", "pre", ARRIVAL))
    weight = found.variables["W.w"]
    assert weight.init == Draw("uniform", (Const(-1), Const(1)), "W.w")


def test_delays_in_time() -> None:
    assert network(top="dt = 2 ms", delay="6 ms").projections["W"].delay == 3
    assert codes(top="dt = 2 ms", delay="5 ms") == ["E0412"]


@pytest.mark.parametrize(
    ("weight", "high"),
    [
        ("xavier_uniform", math.sqrt(6 / 7)),
        ("kaiming_uniform", math.sqrt(6 / 4)),
        ("kaiming_uniform(a = 1)", math.sqrt(6 / 8)),
        ("torch_linear", 0.5),
        ("torch_linear(fan = 100)", 0.1),
    ],
)
def test_initialisers(weight: str, high: float) -> None:
    init = network(weight=weight).projections["W"].variables["W.w"].init
    assert isinstance(init, Draw) and isinstance(init.args[1], Const)
    assert init.args[1].value == pytest.approx(high)


def test_symmetric_start_needs_a_square() -> None:
    assert codes(weight="spd(xavier_uniform)") == ["E0203"]
    more = (
        "projection L : b -> b dense delay 1 step { weight w ~ "
        "spd(xavier_uniform); deliver i += w * pre.s }"
    )
    init = network(more=more).projections["L"].variables["L.w"].init
    assert isinstance(init, Draw) and init.gram and init.distribution == "uniform"


def test_rule_by_step() -> None:
    found = network(rules=HEBB, body="learn hebb(rate = 0.5)", steps="phase run 5 steps learning")
    rule = found.projections["W"].rule
    assert rule is not None and rule.clock == "step" and rule.reduce == "sum"
    assert {(r.path, r.side, r.time) for r in refs(rule.dw)} == {
        ("a.s", "pre", ARRIVAL),
        ("b.s", "post", NOW),
    }
    phase = found.protocols["train"].body[0].body[0].body[1]
    assert phase.learning == {"W"} and phase.site == "train.2"


def test_rule_at_update_reads_settled_values() -> None:
    rules = "rule r { at update { let e = post.s - post.received; dw = e * pre.sent } }"
    rule = network(rules=rules, body="learn r()", steps="phase p 1 step; update W").projections["W"]
    assert rule.rule is not None and rule.rule.clock == "update"
    assert [(r.path, r.time) for r in refs(rule.rule.dw)] == [
        ("b.s", SETTLED),
        ("b.i", SETTLED),
        ("a.s", SETTLED),
    ]


def test_tail_of_the_update() -> None:
    rules = "rule r { dw = pre.s; subtract 0.1 * post.s; reduce mean over batch }"
    body = "learn r(); after update { w := 0.5 * (w + w@prev) }; bound w in [0, 1]"
    rule = network(rules=rules, body=body, steps="phase p 1 step learning").projections["W"].rule
    assert rule is not None and rule.reduce == "mean" and len(rule.subtract) == 1
    assert rule.bound == (Const(0), Const(1))
    assert [r.time for r in refs(rule.after[0].value)] == [NOW, PREV]


def test_self_is_the_same_unit() -> None:
    more = """projection L : b -> b dense delay 1 step {
      weight w = 1; deliver i += (0 if self else w) * pre.s }"""
    value = network(more=more).projections["L"].delivers[0].value
    assert apply("eq", Index(side="pre"), Index(side="post")) == value.args[0].args[0]
    body = "after update { w := 0 if self else w }; learn r()"
    other = network(body=body, rules="rule r { dw = 1 }", steps="phase p 1 step learning")
    rule = other.projections["W"].rule
    assert rule is not None and rule.after[0].value == Ref("W.w", "synapse")


def test_optimiser_of_the_library() -> None:
    rules = HEBB.replace("}", "; optimise adam(rate = 0.1 * 0.9^epoch) }")
    rule = network(rules=rules, body="learn hebb()", steps="phase p 1 step learning")
    optimiser = rule.projections["W"].rule.optimiser  # type: ignore[union-attr]
    assert optimiser is not None and optimiser.gradient == "W.adam.g"
    places = {path: v.place for path, v in optimiser.variables.items()}
    assert places == {
        "W.adam.m": Place.SYNAPSE,
        "W.adam.v": Place.SYNAPSE,
        "W.adam.n": Place.GLOBAL,
    }
    assert Ref("epoch") in refs(optimiser.change)


def test_own_optimiser_replaces_the_library() -> None:
    rules = "optimiser sgd(rate) { change = -rate * g }\n" + HEBB.replace(
        "}", "; optimise sgd(rate = 2) }"
    )
    rule = network(rules=rules, body="learn hebb()", steps="phase p 1 step learning")
    change = rule.projections["W"].rule.optimiser.change  # type: ignore[union-attr]
    assert change == apply("mul", Const(-2), Ref("W.sgd.g", "synapse"))


def test_modulators() -> None:
    rules = """modulator good on a, b { scope population; reads s
      let x = sum(s); emit x - 1 }
    rule r(m : modulator) { reads pre.s, m; dw = pre.s * m }"""
    found = network(rules=rules, body="learn r(m = good)", steps="phase p 1 step learning")
    assert {m.variable for m in found.modulators} == {"good.a", "good.b"}
    body = found.populations["b"].body
    assert [s.target for s in body[-2:]] == ["good.b.x", "good.b"]
    variable = found.table["good.b"]
    assert variable.kind is Kind.MODULATOR and variable.place is Place.ROW
    rule = found.projections["W"].rule
    assert rule is not None and rule.reads == ("pre.s", "good")
    assert Ref("good.b", "post", NOW) in refs(rule.dw)


def test_a_rule_reads_whatever_is_sent() -> None:
    rules = "rule r { dw = pre.sent * post.received }"
    more = """neuron v_cell { state v = 0 }
population c : v_cell[2]
projection V : c -> b dense delay 0 { weight w = 1; deliver i += w * pre.v; learn r() }"""
    found = network(rules=rules, more=more, body="learn r()", steps="phase p 1 step learning")
    paths = [found.projections[n].rule.dw.args[0].path for n in "WV"]  # type: ignore[union-attr]
    assert paths == ["a.s", "c.v"]


def test_synapse_templates() -> None:
    rules = (
        """synapse plain(gain, r = 0.5) { weight w ~ uniform(-gain, gain)
      deliver i += gain * w * pre.s; learn hebb(rate = r) }"""
        + "\n"
        + HEBB
    )
    more = "projection V : a -> b dense delay 0 using plain(gain = 0.25) { bound w in [0, 1] }"
    steps = "phase p 1 step learning"
    found = network(rules=rules, more=more, steps=steps)
    assert found.params["V.gain"] == 0.25
    rule = found.projections["V"].rule
    assert rule is not None and rule.bound is not None
    assert network({"V.gain": 2}, rules=rules, more=more, steps=steps).params["V.gain"] == 2


def test_transposes_and_slices() -> None:
    unit = "input i; input back; state s = 0; s := i + back"
    more = """neuron both { input i; input back; state s = 0; s := i + back }
population c : both[5] types { E: 3; I: 2 }
projection U : b -> c.E dense delay 1 step { weight w ~ xavier_uniform; deliver i += w * pre.s }
projection Ut : c.E -> b transpose of U delay 1 step { deliver back += w * pre.s }
allow weight_transport on Ut because "a test" """
    found = network(unit=unit, more=more).projections
    assert found["U"].post_slice == (0, 3) and found["Ut"].pre_slice == (0, 3)
    assert found["Ut"].weight == "U.w" and found["Ut"].transpose_of == "U"


def test_bias_from_the_library() -> None:
    more = "projection k : std.one -> b dense delay 0 { weight w = 0; deliver i += w * pre.s }"
    found = network(more=more)
    assert found.populations["std.one"].size == 1
    assert found.table["std.one.s"].definition == Const(1)


def test_bptt() -> None:
    rules = "loss E = mean(sum((b.s@run - onehot(sample.label))^2))"
    body = "learn bptt(loss = E); optimise sgd(rate = 0.1)"
    found = network(rules=rules, body=body, steps="phase run 5 steps; update W")
    rule = found.projections["W"].rule
    assert rule is not None and rule.loss == "E" and rule.dw is None and rule.clock == "update"
    assert isinstance(found.losses["E"].value.body, type(found.losses["E"].value))
    assert codes(body="learn bptt(loss = F)") == ["E0101"]


def test_reading_another_population_is_left_to_the_locality_check() -> None:
    rules = "neuron other { state q = 0 }\npopulation c : other[2]\nrule r { dw = pre.s * c.q }"
    assert network(rules=rules, body="learn r()", steps="phase p 1 step learning")
    assert codes(rules=rules.replace("c.q", "c.z"), body="learn r()") == ["E0101"]


def test_modulator_lists_are_closed() -> None:
    rules = "modulator m on b { reads s; emit sum(i) }"
    (found,) = [d for d in analysis(rules=rules).diagnostics if d.severity == "error"]
    assert found.code == "E0118" and "`i`" in found.message


def test_dw_has_the_unit_of_the_weight() -> None:
    top, rules = "dt = 1 ms", "rule r { dw = pre.s * 2 ms }"
    assert codes(top=top, rules=rules, body="learn r()") == []
    both = "rule r { dw = w * 2 ms }"
    assert codes(top=top, rules=both, body="learn r()") == ["E0201"]


def test_expressions_keep_their_places() -> None:
    found = network(rules=HEBB, body="learn hebb()", steps="phase p 1 step learning")
    rule = found.projections["W"].rule
    assert rule is not None and isinstance(rule.dw, Apply)
    assert rule.dw.span is not None and rule.dw.span.line == 7
