"""Parameters: defaults, overrides from outside, ranges and units."""

from __future__ import annotations

import pytest

from netdsl.ir.expr import Const, Ref
from netdsl.ir.network import Draw, Kind, Place
from netdsl.sema.scopes.overrides import Raw
from tests.sema.build import analysis, codes, network

TOP = """\
param mode : {fast, slow} = fast
param n : count = 3 in [1, 9]
param tau = 20 ms
param twice = 2 * n
dt = 1 ms"""
UNIT = "param alpha = 0.5; param r = alpha * twice; input i; state s = 0; s := r * i * (dt / tau)"


def test_defaults() -> None:
    params = network(top=TOP, unit=UNIT).params
    assert params["mode"] == "fast" and params["n"] == 3 and params["twice"] == 6
    assert params["tau"] == 0.02
    assert params["b.alpha"] == 0.5 and params["b.r"] == 3.0
    assert params["train.epochs"] == 2 and params["digits.batch"] == 20


@pytest.mark.parametrize(
    ("path", "raw", "found", "value"),
    [
        ("n", "4", "twice", 8),
        ("n", 4, "twice", 8),
        ("tau", "5 ms", "tau", 0.005),
        ("tau", "0.5s", "tau", 0.5),
        ("mode", "slow", "mode", "slow"),
        ("b.alpha", "0.25", "b.r", 1.5),
        ("unit.alpha", 1, "b.r", 6),
        ("digits.batch", "7", "digits.batch", 7),
        ("train.epochs", "9", "train.epochs", 9),
    ],
)
def test_overrides(path: str, raw: Raw, found: str, value: object) -> None:
    assert network({path: raw}, top=TOP, unit=UNIT).params[found] == value


@pytest.mark.parametrize(
    ("path", "raw", "code"),
    [
        ("n", "10", "E0202"),
        ("n", "2.5", "E0202"),
        ("n", "many", "E0202"),
        ("mode", "medium", "E0202"),
        ("tau", "5", "E0201"),
        ("tau", "5 step", "E0201"),
        ("digits.batch", "0", "E0202"),
        ("m", "4", "E0111"),
        ("b.alfa", "4", "E0111"),
    ],
)
def test_wrong_overrides(path: str, raw: str, code: str) -> None:
    assert codes({path: raw}, top=TOP, unit=UNIT) == [code]


def test_an_unknown_path_gets_a_suggestion() -> None:
    (found,) = analysis({"b.alfa": 1}, top=TOP, unit=UNIT).diagnostics
    assert found.help == "did you mean `b.alpha`?"


def test_population_settings_come_before_defaults() -> None:
    assert network(top=TOP, unit=UNIT, over="{ alpha = 2 }").params["b.r"] == 12
    assert codes(top=TOP, unit=UNIT, over="{ alfa = 2 }") == ["E0110"]


def test_per_neuron_parameters() -> None:
    unit = (
        "param th per neuron ~ uniform(0, 1); param g per neuron = 2; input i; "
        "state s = th * g; s := i"
    )
    found = network(unit=unit).table
    drawn = found["b.th"]
    assert drawn.kind is Kind.PARAM and drawn.place is Place.NEURON
    assert isinstance(drawn.init, Draw) and drawn.init.stream == "b.th"
    assert found["b.g"].init == Const(2)
    override = network(unit=unit, over="{ g = 1 if index >= 2 else 0 }").table["b.g"]
    assert override.init is not None and override.place is Place.NEURON


def test_a_let_is_evaluated_where_it_is_read() -> None:
    found = network(top="let rate = 0.9^epoch", unit="input i; state s = 0; s := rate * i")
    (statement,) = found.populations["b"].body
    assert Ref("epoch") in statement.value.args[0].args


def test_one_mistake_in_a_parameter_gives_one_error() -> None:
    top = "param n : count = 0 in [1, 2]\nwhen n > 1 { population c : unit[n] }"
    assert codes(top=top, more="readout y = mean(c.s)") == ["E0202"]


@pytest.mark.parametrize("how", ["exact", "bernoulli"])
def test_a_choice_says_how_synapses_are_drawn(how: str) -> None:
    top = "param how : {exact, bernoulli} = exact"
    more = "projection S : a -> b sparse(p = 0.5, draw = how) delay 0 { deliver i += pre.s }"
    built = network({"how": how}, top=top, more=more)
    assert built.projections["S"].connectivity.draw == how


def test_another_choice_does_not() -> None:
    more = "projection S : a -> b sparse(p = 0.5, draw = mode) delay 0 { deliver i += pre.s }"
    assert "E0101" in codes(top=TOP, more=more)
