"""A derived eligibility has the label of the one that is written by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from netdsl.dataflow.walk import walk_rule
from netdsl.frontend import check
from netdsl.locality import certify
from netdsl.passes.network.eligibility import eligible
from netdsl.passes.network.integrate import integrated

SPEC = """\
edition 1
dt = 1 ms
neuron source {{ state s = 0 }}
neuron cell {{
  input i; input k; state v = 0; state x = 0
  {body}
  v := 0.9 * v + i
  spike s when v > 1 {{ v := v - s; surrogate triangle({surrogate}) }}
}}
population a : source[3]
population c : cell[3]
rule learned {{ eligibility e of w to post.s; dw = e }}
projection W : a -> c dense delay {delay} {{
  weight w ~ normal(0, 1); deliver i += w * pre.s; learn learned()
}}
{before}
data digits {{ source = "digits"; batch = 5; split train = train }}
protocol train {{ each batch of digits.train {{ reset; phase see 5 steps learning }} }}
"""


def network(body: str = "", before: str = "", surrogate: str = "", delay: str = "1 step"):
    text = SPEC.format(body=body, before=before, surrogate=surrogate, delay=delay)
    found = check(text, lower=False)
    errors = [d.message for d in found.diagnostics if d.severity == "error"]
    assert found.network is not None and not errors
    return found.network


def test_local() -> None:
    found = certify(network())["W"]
    assert found.verdict == "local" and found.modulator_scope == "none"
    assert set(found.reads) == {"pre.s", "post.s"}


def test_the_label_is_that_of_what_it_becomes() -> None:
    for held in (network(), network("v := 0.5 * v + 0.1 * k"), network(delay="3 steps")):
        made = eligible(integrated(held))
        one, other = certify(held)["W"], certify(made)["W"]
        for part in ("space", "modulator_scope", "time", "sample", "phase", "verdict"):
            assert getattr(one, part) == getattr(other, part), part


SEEN = {
    "x := sum(k) + mean(v)": "local",  # not on the path
    "v := 0.5 * v * sum(x); x := k": "three-factor",
    "population state total = 0; total := sum(x); v := v * total": "three-factor",
    "let share = x / sum(x); v := v * share": "three-factor",
    "def share = x / sum(x); let other = 2 * share; v := v * other": "three-factor",
    "v := v * x; x := 2 * k": "local",
}


@pytest.mark.parametrize("body", SEEN)
def test_what_a_derivative_reads_is_known_to_the_population(body: str) -> None:
    found = certify(network(body))["W"]
    assert found.verdict == SEEN[body]
    assert found.modulator_scope == ("none" if SEEN[body] == "local" else "population")


def test_what_enters_the_cell_is_seen() -> None:
    """Through the state, or through the width of the surrogate alone."""
    plain = (
        "projection B : c -> c dense delay 1 step { weight w = 1; deliver k += w * pre.s }\n"
        "projection T : c -> c transpose of B delay 1 step { deliver k += w * pre.s }"
    )
    for body, surrogate in (("v := v + k", ""), ("x := k", "width = 1 + x^2")):
        text = SPEC.format(body=body, before=plain, surrogate=surrogate, delay="1 step")
        found = check(text, lower=False)
        codes = {d.code for d in found.diagnostics if d.severity == "error"}
        assert codes == {"E0313"}, (body, codes)


def test_expectations_teach_nothing() -> None:
    held = network()
    rule = held.projections["W"].rule
    assert rule is not None
    assert "expect" not in {flow.section for flow in walk_rule(replace(rule, expects=()))}
