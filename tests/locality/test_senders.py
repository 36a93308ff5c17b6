"""What a sender that never changes makes of the weights that it reads."""

from __future__ import annotations

import pytest

from netdsl.frontend import check

SPEC = """edition 1
neuron src {{ state s = 0 }}
neuron hid {{ input j; input fb; state r = 0; r := tanh(j) }}
neuron sender {{ input i; {sends} }}
population x : src[64]
population h : hid[10]
population p : sender[5]
{more}
rule r1 {{ dw = pre.s * post.fb }}
projection W1 : x -> h dense delay 0 {{
  weight w ~ normal(0, 0.1); deliver j += w * pre.s; learn r1()
}}
rule r2 {{ dw = pre.s * post.r }}
projection K : {by} -> h dense delay 1 step {{
  weight w ~ normal(0, 0.1); deliver fb += w * {sent}; {learn}
}}
data digits {{ source = "digits"; batch = 32 }}
protocol train {{ each batch of digits.train {{
  reset; clamp x.s = sample.image; {steps}; phase run 2 steps learning }} }}
"""
RELAY = "projection F : {} -> p one_to_one delay 1 step {{ deliver i += pre.s }}"
MORE = "population q : relay[5]\nneuron relay { state s = 1; s := 0.9 * s + 0.1 }\n"
FROM_X = "projection F : x -> p dense delay 1 step { deliver i += pre.s }"


def verdict(
    sends: str,
    *,
    more: str = "",
    by: str = "p",
    sent: str = "pre.s",
    learn: str = "learn r2()",
    steps: str = "clamp x.s = sample.image",
) -> str:
    text = SPEC.format(sends=sends, more=more, by=by, sent=sent, learn=learn, steps=steps)
    found = check(text, lower=False)
    assert found.certificate is not None, found.diagnostics
    rule = found.certificate["W1"]
    codes = {d.code for d in found.diagnostics if d.severity == "error"}
    assert codes == ({"E0311"} if rule.verdict == "aggregated-weights" else set())
    return rule.verdict


@pytest.mark.parametrize(
    ("sends", "extra"),
    [
        ("state s = 1", {}),
        ("state s = 0; s := 0.9 * s + 0.1", {}),
        ("state s = 0; s := sin(t)", {}),
        ("state s = 0; s := 0.1 * index", {}),
        ("state v = 1; def s = 2 * v", {}),
        ("state s ~ normal(0, 1)", {}),  # drawn once, and never again
        ("param s per neuron ~ normal(0, 1)", {}),
        ("state s = 0", {"steps": "clamp p.s = 1"}),
        ("state s = 0", {"sent": "(pre.s + 1)"}),
        ("state s = 0", {"sent": "cos(pre.s)"}),
        ("state s = 0; s := i", {"more": MORE + RELAY.format("q")}),  # a relay says no more
    ],
)
def test_a_sender_that_nothing_changes_is_no_factor(sends: str, extra: dict[str, str]) -> None:
    assert verdict(sends, **extra) == "aggregated-weights"


@pytest.mark.parametrize(
    ("sends", "extra"),
    [
        ("state s = 0; s ~ normal(0, 1)", {}),
        ("state s = 0; s := sample.label", {}),
        ("state s = 0; s := i", {"more": FROM_X}),
        ("state s ~ normal(0, 1); s := 0.9 * s", {}),
        ("state s = 0", {"steps": "clamp p.s = mean(sample.image)"}),
        ("state s = 0", {"steps": "clamp p.s = 0; phase first 1 step; clamp p.s = 1"}),
        ("state s = 0", {}),  # always 0: no weight is read
        ("state v = 0; state s = 0; s := 0.9 * s + v", {}),
        ("state s = 1", {"by": "std.one"}),
        ("state s = 1", {"learn": ""}),  # numbers of the cell, for ever
    ],
)
def test_a_sender_that_says_something_is_one(sends: str, extra: dict[str, str]) -> None:
    assert verdict(sends, **extra) != "aggregated-weights"
