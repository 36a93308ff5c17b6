"""What a rule with states may say, and what is said of the rest."""

from __future__ import annotations

import pytest

from netdsl.frontend import check
from netdsl.syntax.fmt import format_source

SPEC = """\
edition 1
dt = 1 ms
neuron source {{ state s = 0 }}
neuron unit {{ input i; state v = 0; v := i }}
population a : source[64]
population b : unit[3]
rule r {{ {rule} }}
projection W : a -> b dense delay 2 steps {{
  weight w ~ uniform(-1, 1); deliver i += w * pre.s; learn r()
}}
data digits {{ source = "digits"; batch = 4 }}
protocol train {{
  each batch of digits.train {{
    reset; clamp a.s = sample.image; phase run 5 steps{learning}; {update}
  }}
}}
"""
F = "state f = 0; f := f + pre.s * post.v; "


def found(rule: str, learning: str = " learning") -> list[str]:
    update = "update W" if "at update" in rule else ""
    text = SPEC.format(rule=rule, learning=learning, update=update)
    once = format_source(text)
    assert format_source(once) == once
    return [d.code for d in check(text).diagnostics]


@pytest.mark.parametrize(
    "rule",
    [
        F + "dw = f",
        F + "at update { dw = f; let y = 2 * f; dw = y }",
        F + "let g = 2 * post.v; f := f + g; at update { dw = g * f }",
        F + "def e = f * post.v; at update { dw = e }",
        F + "def e = f@prev * post.v; dw = e",
        "state f = 0; d f/dt = (pre.s * post.v - f) / (20 ms); integrate f; dw = f",
        "trace z of pre.s * post.v { tau = 20 ms }; dw = 0.1 * z",
        "param tau = 3; state f : count = 2; f := f + tau * post.v * pre.s; dw = f",
        F + "when 1 > 2 { f := 0 } else { f := 2 * f }; dw = f",
        F + "dw = f; f := 0.5 * f; dw = -f; subtract 0.1 * f; reduce mean over batch",
        F + "dw = tanh(f * post.v)",
        "state p = 0; p := p + pre.s; state q = 0; q := q + post.v; dw = tanh(p * q)",
        "state f = 0.1; dw = f * pre.s * post.v",
    ],
)
def test_right(rule: str) -> None:
    assert found(rule) == []


@pytest.mark.parametrize(
    ("rule", "codes"),
    [
        ("state w = 0; dw = w", {"E0102"}),
        ("state f = 0; state f = 1; f := 2; dw = f", {"E0102"}),
        ("state f = 0; f := g; dw = f", {"E0101"}),
        ("f := pre.s; dw = f", {"E0101"}),
        ("let e = pre.s; e := 2; dw = e * post.v", {"E0115"}),
        ("state f = 0; f := y; let y = pre.s; dw = f * post.v", {"E0107"}),
        (F + "let y = f * 2; at update { dw = y }", {"E0107"}),
        (F + "let y = f * 2; let z = y@prev; dw = z", {"E0107"}),
        ("state f = 0; at update { f := 1; dw = f * post.v }", {"E0104"}),
        (F + "at update { dw = f@prev }", {"E0106"}),
        (F + "def e = 2 * f; dw = e@prev", {"E0106"}),
        (F + "after update { w := f }; dw = f", {"E0101"}),
        ("state f = 0; d f/dt = -f / (3 ms); dw = f * post.v", {"E0414"}),
        (F + "integrate f; dw = f", {"E0414"}),
        ("state f : bool = 0; f := pre.s; dw = f * post.v", {"E0440"}),
        ("population state f = 0; f := pre.s; dw = f * post.v", {"E0104"}),
        ("state f = post.v; f := pre.s; dw = f * post.v", {"E0106"}),
        (F + "def e = e * 2; dw = f * e", {"E0109"}),
        (F + "on post { f := 1 }; dw = f", {"E0831"}),
        (F + "f := f + mean(post.v); dw = f", {"E0304"}),
        (F + "f := f + post.v@late; dw = f", {"E0101"}),
        (F + "dw = f; at update { dw = f }", {"E0831"}),
        (F + "dw = pre.s * post.v", {"L0603"}),
        (F + "let y = f * 2; dw = f", {"L0603"}),
        ("state f = 0; d f/dt = -f / (0.2 ms); integrate f with euler; dw = f * post.v", {"E0421"}),
    ],
)  # fmt: skip
def test_wrong(rule: str, codes: set[str]) -> None:
    assert {text.split()[0] for text in found(rule)} == codes


def test_states_that_nothing_advances() -> None:
    assert found(F + "at update { dw = f }", learning="") == ["L0501"]
    assert found(F + "at update { dw = f }") == []
