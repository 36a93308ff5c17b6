"""Expressions on the host, metrics over batches, values at build, memory."""

from __future__ import annotations

import numpy as np
import pytest

from netdsl.ir.expr import Apply, Const, Expr, Index, Load, Local, Reduce, Ref
from netdsl.ir.network import Draw, Place
from netdsl.ir.program import Buffer, Key, Program
from netdsl.runtime.host import HostCompiler, HostError, as_matrix, plain_key
from netdsl.runtime.initial import initial_values
from netdsl.runtime.memory import buffer_bytes, readable, require_memory
from netdsl.streams.draws import PhiloxStream, build_uniform

PLACES = {
    Key("p.x"): Place.UNIT,
    Key("p.x", "phase:free"): Place.UNIT,
    Key("p.s", "count:run"): Place.UNIT,
    Key("p.b"): Place.NEURON,
    Key("sample.label"): Place.ROW,
    Key("c"): Place.GLOBAL,
    Key("W.w"): Place.SYNAPSE,
    Key("V.w"): Place.SYNAPSE,
}


def value(expr: Expr, **arrays: object) -> np.ndarray:
    named = {Key(key.replace("__", ".")): held for key, held in arrays.items()}
    compiled = HostCompiler(lambda key: PLACES[key]).compile(expr)
    return compiled.call(lambda key: as_matrix(named[key], PLACES[key]))


def test_argmax_takes_the_first_of_equals() -> None:
    x = np.array([[1.0, 3, 3], [2, 2, 1], [0, 0, 0]])
    found = value(Apply("argmax", (Ref("p.x"),)), p__x=x)
    np.testing.assert_array_equal(found, [[1], [0], [0]])


def test_per_sample_and_per_neuron_values_broadcast() -> None:
    x, b, label = np.arange(6.0).reshape(2, 3), np.array([1.0, 2, 3]), np.array([10, 20])
    total = Apply("add", (Apply("mul", (Ref("p.x"), Ref("p.b"))), Ref("sample.label")))
    found = value(total, p__x=x, p__b=b, sample__label=label)
    np.testing.assert_array_equal(found, x * b + label[:, None])


def test_onehot_is_as_wide_as_what_stands_beside_it() -> None:
    onehot = Apply("eq", (Index(), Ref("sample.label")))
    error = Reduce("sum", "population", Apply("abs", (Apply("sub", (Ref("p.x"), onehot)),)))
    found = value(error, p__x=np.eye(4)[[1, 2]], sample__label=np.array([1, 3]))
    np.testing.assert_array_equal(found, [[0], [2]])


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("sum", 3), ("mean", 1), ("max", 3), ("min", 0), ("any", 1), ("count", 1)],
)
def test_reductions_over_the_population(kind: str, expected: float) -> None:
    found = value(Reduce(kind, "population", Ref("p.x")), p__x=np.array([[0.0, 0, 3]]))
    np.testing.assert_array_equal(found, [[expected]])


def test_cross_entropy_takes_a_class_or_a_distribution() -> None:
    p = np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]])
    by_class = value(
        Apply("cross_entropy", (Ref("p.x"), Ref("sample.label"))), p__x=p, sample__label=[0, 1]
    )
    np.testing.assert_allclose(by_class[:, 0], -np.log([0.5, 0.8]))
    onehot = Apply("eq", (Index(), Ref("sample.label")))
    spread = value(Apply("cross_entropy", (Ref("p.x"), onehot)), p__x=p, sample__label=[0, 1])
    np.testing.assert_allclose(spread, by_class)


def test_softmax_of_large_numbers() -> None:
    found = value(Apply("softmax", (Ref("p.x"),)), p__x=np.array([[1000.0, 1000, 0]]))
    np.testing.assert_allclose(found, [[0.5, 0.5, 0]])


def test_angle_with_a_transpose_in_degrees() -> None:
    w = np.array([[1.0, 0], [0, 1], [0, 0]])
    v = np.array([[0.0, 1, 0], [1, 0, 0]])
    angle = Apply("angle", (Ref("W.w"), Apply("transpose", (Ref("V.w"),))))
    assert value(angle, W__w=w, V__w=w.T)[0, 0] == pytest.approx(0, abs=1e-4)
    assert value(angle, W__w=w, V__w=v)[0, 0] == pytest.approx(90)
    assert value(angle, W__w=w, V__w=-w.T)[0, 0] == pytest.approx(180)


def test_a_weight_is_reduced_whole_and_over_afferents() -> None:
    w = np.arange(6.0).reshape(3, 2)
    assert value(Reduce("mean", "population", Ref("W.w")), W__w=w)[0, 0] == 2.5
    np.testing.assert_array_equal(value(Reduce("sum", "pre", Ref("W.w")), W__w=w), [[6, 9]])


def test_reductions_over_steps_read_their_accumulator() -> None:
    counts = Reduce("count", "phase:run", Ref("p.s"))
    compiled = HostCompiler(lambda key: PLACES[key]).compile(Apply("argmax", (counts,)))
    assert compiled.reads == (Key("p.s", "count:run"),) and compiled.place is Place.ROW
    assert plain_key(Ref("p.x", "own", "@free")) == Key("p.x", "phase:free")


@pytest.mark.parametrize("expr", [Local("x"), Index(), Apply("spd", (Const(1),))])
def test_what_has_no_meaning_on_the_host(expr: Expr) -> None:
    with pytest.raises(HostError):
        HostCompiler(lambda key: PLACES[key]).compile(expr)


def program(*buffers: Buffer) -> Program:
    return Program("t", {"p": 4}, {"W": (3, 4), "B": (4, 4)}, {b.name: b for b in buffers}, {})


def test_values_at_build() -> None:
    draw = Draw("uniform", (Const(-1), Const(1)), "W.w")
    spd = Draw("normal", (Const(0), Const(1)), "B.w", gram=True)
    held = program(
        Buffer("p.b", Place.NEURON, "p", "parameter", init=Const(2)),
        Buffer("p.c", Place.NEURON, "p", "parameter", init=Apply("mul", (Load("p.d"), Const(3)))),
        Buffer("p.d", Place.NEURON, "p", "parameter", init=Apply("add", (Load("p.b"), Index()))),
        Buffer("W.w", Place.SYNAPSE, "W", "weight", init=draw),
        Buffer("B.w", Place.SYNAPSE, "B", "weight", init=spd),
        Buffer("p.v", Place.UNIT, "p", "state"),
        Buffer("n", Place.GLOBAL, "", "optimiser"),
    )
    found = initial_values(held, 7)
    np.testing.assert_array_equal(found["p.b"], [2, 2, 2, 2])
    np.testing.assert_array_equal(found["p.c"], [6, 9, 12, 15])
    np.testing.assert_array_equal(found["W.w"], build_uniform(7, "W.w", (3, 4), -1, 1, np.float64))
    a = PhiloxStream(7, "B.w").array((4, 4), "normal")
    np.testing.assert_allclose(found["B.w"], a @ a.T)
    assert found["n"] == 0 and "p.v" not in found


def test_values_at_build_that_go_in_circles() -> None:
    held = program(
        Buffer("p.a", Place.NEURON, "p", "parameter", init=Load("p.b")),
        Buffer("p.b", Place.NEURON, "p", "parameter", init=Load("p.a")),
    )
    with pytest.raises(HostError, match="depends on itself"):
        initial_values(held, 0)


def test_memory_is_reckoned_before_it_is_needed() -> None:
    held = program(
        Buffer("W.w", Place.SYNAPSE, "W", "weight"), Buffer("p.v", Place.UNIT, "p", "state")
    )
    assert buffer_bytes(held, 10, "float32") == {"p.v": 160, "W.w": 48}
    assert require_memory(held, 10, "float64", available=10**6) == 416
    with pytest.raises(Exception, match="`p.v` 320 B, `W.w` 96 B"):
        require_memory(held, 10, "float64", available=100)
    assert readable(1536) == "1.5 KiB"


def test_cross_entropy_of_a_softmax_is_as_large_as_it_is() -> None:
    x = np.array([[0.0, -1000.0, 0.0], [-1e30, 5.0, 5.0]])
    soft = Apply("softmax", (Ref("p.x"),))
    found = value(Apply("cross_entropy", (soft, Ref("sample.label"))), p__x=x, sample__label=[1, 0])
    np.testing.assert_allclose(found.ravel(), [1000 + np.log(2), 1e30], rtol=1e-15)
    logs = value(Apply("log", (soft,)), p__x=x)
    np.testing.assert_allclose(logs[0], [-np.log(2), -1000 - np.log(2), -np.log(2)], rtol=1e-15)


def test_cross_entropy_of_a_probability_of_0() -> None:
    p = np.array([[0.0, 1.0, 0.0]])
    for label, expected in ((0, np.inf), (1, 0.0)):
        found = value(
            Apply("cross_entropy", (Ref("p.x"), Ref("sample.label"))), p__x=p, sample__label=[label]
        )
        assert found.item() == expected
    onehot = Apply("eq", (Index(), Ref("sample.label")))
    spread = value(Apply("cross_entropy", (Ref("p.x"), onehot)), p__x=p, sample__label=[1])
    assert spread.item() == 0
