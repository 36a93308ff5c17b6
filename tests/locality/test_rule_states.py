"""What flows into the states of a rule decides with the rest of it."""

from __future__ import annotations

import pytest

from netdsl.frontend import check
from netdsl.locality.certificate import RuleCertificate
from tests.runtime.test_eprop import SPEC as EPROP

EPROP = EPROP.format(wiring="dense", delay="1 step")
SPEC = """
edition 1
neuron source {{ state s = 0; state hidden = 0 }}
neuron unit {{ input i; input g; state v = 0; v := i; def q = v + g }}
population a : source[4]
population b : unit[3]
population c : unit[3]
modulator m on b {{ scope population; emit mean(v) }}
rule r {{ {rule} }}
projection W : a -> b dense delay 2 steps {{
  weight w ~ uniform(-1, 1); deliver i += w * pre.s; learn r()
}}
projection C : b -> c dense delay 1 step {{ weight w ~ uniform(0, 1); deliver i += w * pre.v }}
projection T : c -> b transpose of C delay 1 step {{ deliver g += w * pre.v }}
protocol train {{ reset; phase run 5 steps learning; {update} }}
"""


def certified(text: str) -> tuple[list[str], RuleCertificate]:
    found = check(text, lower=False)
    assert found.certificate is not None
    codes = [d.code for d in found.diagnostics if d.severity == "error"]
    return codes, found.certificate.rules[0]


@pytest.mark.parametrize(
    ("into", "verdict", "space"),
    [
        ("pre.s * post.v", "local", "pre+post"),
        ("pre.s * m", "three-factor", "modulator"),
        ("pre.hidden * post.v", "conditional", "pre-internal"),
        ("w * post.v", "local", "post"),
    ],
)
@pytest.mark.parametrize("clock", ["step", "update"])
def test_verdict(into: str, verdict: str, space: str, clock: str) -> None:
    dw = "dw = f" if clock == "step" else "at update { dw = f }"
    rule = f"state f = 0; let e = {into}; f := 0.9 * f + e; {dw}"
    text = SPEC.format(rule=rule, update="update W" if clock == "update" else "")
    codes, rule_found = certified(text)
    assert not codes and (rule_found.verdict, rule_found.space) == (verdict, space)
    late = "delayed(2)" if "pre" in into else "instant"
    assert rule_found.time == ("trial-end" if clock == "update" else late)


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        ("state f = 0; f := f + post.q; dw = f", "E0313"),  # transported weights, remembered
        ("state f = 0; let e = post.g; f := f + e; dw = f * pre.s", "E0313"),
        ("state f = 0; f := f + c.v; dw = f", "E0301"),
        ("state f = 0; f := f + sum(w over pre); dw = f", "E0311"),
        ("state f = 0; f := f + sum(f over pre); dw = f", "E0311"),
        ("reads pre.s; state f = 0; f := f + pre.s * post.v; dw = f", "E0302"),
        ("state f = 0; f := f + post.g@prev; at update { dw = f }", "E0313"),
    ],
)
def test_what_enters_a_state_is_refused_as_in_a_change(rule: str, code: str) -> None:
    codes, _ = certified(SPEC.format(rule=rule, update="update W" if "update" in rule else ""))
    assert set(codes) == {code}


def test_what_is_never_reset_is_history() -> None:
    rule = "state f = 0 keep; f := f + pre.s * post.v; dw = f"
    _, found = certified(SPEC.format(rule=rule, update=""))
    labels = {read.name: read.label.sample.name for read in found.details}
    assert labels["f"] == "history" and labels["post.v"] == "per-sample"


def test_eprop_by_hand() -> None:
    """Random feedback is sent through projections; the true weights are transported."""
    codes, found = certified(EPROP)
    assert not codes
    assert (found.verdict, found.space, found.time) == ("local", "pre+post", "trial-end")
    head, tail = EPROP.split("projection B : out -> rec dense fixed delay 1 step {")
    back = "projection B : out -> rec transpose of Wout delay 1 step {"
    codes, found = certified(
        head + back + tail.replace("weight w ~ normal(0, 1); deliver fe", "deliver fe")
    )
    assert set(codes) == {"E0313"} and found.verdict == "weight-transport"
