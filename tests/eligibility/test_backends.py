"""Derived eligibilities on every backend, against the rule computed synapse by synapse."""

from __future__ import annotations

import re

import pytest

from netdsl.api import Model
from netdsl.frontend import check
from netdsl.ir.expr import refs
from netdsl.passes import lower
from netdsl.passes.network.eligibility import eligible
from netdsl.passes.network.integrate import integrated
from netdsl.passes.network.place import placed
from netdsl.runtime import backend as backends
from tests.runtime.test_eprop import BACKENDS, ROWS, SPEC, trial

BY_HAND = SPEC[SPEC.index("rule eprop") : SPEC.index("projection Win")]
DERIVED = """\
rule eprop(pre_x) {{
  reads pre_x, post.s, post.kappa, post.feedback@trial
  eligibility e of w to post.s
  state F = 0
  F := post.kappa * F + (1 - post.kappa) * e
  at update {{ dw = -post.feedback@trial * F }}
  reduce mean over batch
}}
"""


@pytest.fixture(autouse=True)
def _shim(monkeypatch: pytest.MonkeyPatch) -> None:
    place = ("netdsl.backends.cupy.shim", "ShimExecutor")
    monkeypatch.setitem(backends.BACKENDS, "shim", place)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("wiring", "synapses", "delay"),
    [
        ("dense", "auto", 1),
        pytest.param("sparse(p = 0.5)", "edges", 2, marks=pytest.mark.slow),
        pytest.param("sparse(p = 0.5)", "masked", 1, marks=pytest.mark.slow),
    ],
)
def test_eprop(backend: str, wiring: str, synapses: str, delay: int) -> None:
    text = SPEC.replace(BY_HAND, DERIVED).format(wiring=wiring, delay=f"{delay} step")
    network = check(text, lower=False).require()
    program = lower(network, synapses=synapses, form="online")
    found = Model(network, program, backend, 3, "float64", rows=ROWS)
    for seed, rows in enumerate((3, 2)):  # a smaller batch after the first
        trial(found, rows, delay, seed)
    found.close()


def test_both_in_one_rule_are_expected_to_be_equal() -> None:
    """Named in the same rule, the two agree; without the path through the reset they do not."""
    both = BY_HAND.replace("let e =", "let by_hand =").replace("* e\n", "* by_hand\n")
    both = re.sub(r"  reads .*\n", "  eligibility e of w to post.s\n", both)
    both = both.replace("  F :=", "  expect e == by_hand within 1e-9\n  F :=")
    assert "by_hand" in both
    text = SPEC.replace(BY_HAND, both).format(wiring="dense", delay="1 step")
    assert not [d for d in check(text).diagnostics if d.severity == "error"]
    wrong = text.replace("(post.alpha - thr * pp) * ev", "post.alpha * ev")
    (found,) = [d for d in check(wrong).diagnostics if d.severity == "error"]
    assert found.code == "E0435"


def test_senders_are_run_too() -> None:
    """What is kept per presynaptic neuron equals the tangent of a membrane without resets."""
    text = """\
edition 1
dt = 1 ms
neuron source { input p; s ~ bernoulli(p); state x = 0; x := 0.8 * x + 0.2 * s }
neuron cell {
  input i; state v = 0
  v := 0.8 * v + 0.2 * i - 0.3 * detach(s)
  spike s when v > 0.5 { surrogate triangle() }
  def psi = grad(s, v)
}
population a : source[3]
population c : cell[3]
rule rflo { eligibility e of w to post.s; expect e == post.psi * pre.x within 1e-12; dw = e }
projection W : a -> c dense delay 2 steps {
  weight w ~ normal(0, 1); deliver i += w * pre.s; learn rflo()
}
data digits { source = "digits"; batch = 5; split train = train }
protocol train { each batch of digits.train { reset; phase see 5 steps learning } }
"""
    assert not [d for d in check(text).diagnostics if d.severity == "error"]
    wrong = text.replace("0.8 * x", "0.7 * x")
    assert [d.code for d in check(wrong).diagnostics if d.severity == "error"] == ["E0435"]
    network = check(text).require()
    made = placed(eligible(integrated(network)))
    rule = made.projections["W"].rule
    assert rule is not None and rule.variables["W.rflo.e.v"].owner == "a"  # one per sender


def test_coefficients_belong_to_the_unit() -> None:
    """Two projections onto one population read the same ones."""
    text = SPEC.replace(BY_HAND, DERIVED).format(wiring="dense", delay="1 step")
    made = eligible(integrated(check(text, lower=False).require()))
    rules = [made.projections[name].rule for name in ("Win", "R")]
    read = [
        {ref.path for s in rule.statements for ref in refs(s.value) if ".slope." in ref.path}
        for rule in rules
        if rule is not None
    ]
    assert read[0] == read[1] and len(read[0]) == 6
    assert not [v for v in made.populations["x"].variables if ".slope." in v]
