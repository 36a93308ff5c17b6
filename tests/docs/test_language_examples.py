"""Every example of the documents is read by the compiler; what is not offered is refused."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from netdsl.frontend import check
from netdsl.syntax.fmt import format_source
from netdsl.syntax.parser import parse

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCK = re.compile(r"^```(net|net-part)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = [
    pytest.param(kind, text, id=f"{path.stem}-{number}")
    for path in sorted(DOCS.glob("*.md"))
    for number, (kind, text) in enumerate(BLOCK.findall(path.read_text(encoding="utf-8")), 1)
]


@pytest.mark.parametrize(("kind", "text"), EXAMPLES)
def test_example(kind: str, text: str) -> None:
    parsed = parse(text, "example.net")
    assert not parsed.diagnostics
    assert parse(format_source(text), "example.net").ok
    if kind == "net":
        assert [f"{d.code} {d.message}" for d in check(text).diagnostics] == []


SPEC = """\
edition 1
dt = 1 ms
neuron src {{ state s = 0; {source} }}
neuron unit {{ input i; state v = 0; {cell} v := v + i; spike s when v > 1 {{ v := 0 }} }}
population a : src[row: 8, col: 8]
population b : unit[64] types {{ E: 48; I: 16 }} {types}
rule hebb {{ {rule} dw = 0.01 * pre.s * post.s; {tail} }}
{before}
projection W : a -> b {wiring} delay {delay} {{
  {synapse} weight w ~ uniform(-1, 1); deliver i += w * pre.s; learn hebb(); {learn}
}}
data digits {{ source = "digits"; batch = 20; {data} }}
{after}
protocol train(epochs = 1) {{
  each epoch {{
    each batch of digits.train {{
      reset; clamp a.s = sample.image; {steps} phase run 5 steps learning
    }}
  }}
}}
"""
PARTS = dict.fromkeys(re.findall(r"(?<!{){(\w+)}", SPEC), "")
PARTS |= {"wiring": "dense", "delay": "1 step"}

REFUSED = [
    ("E0110", {"wiring": "sparse(p = 0.5) shared_over(row)"}),
    ("E0642", {"wiring": "conv(kernel = 3)"}),
    ("E0642", {"wiring": "pool(2)"}),
    ("E0434", {"rule": "eligibility e of w to post.s;"}),
    ("E0831", {"rule": "on pre { w := w + 1 };"}),
    ("E0831", {"rule": "state F ~ uniform(0, 1);"}),
    ("E0831", {"synapse": "state u = 0 per pre;"}),
    ("E0831", {"synapse": "on pre { deliver i += w };"}),
    ("E0831", {"delay": "~ uniform(1, 3)"}),
    ("E0831", {"learn": "learn hebb()"}),
    ("E0804", {"wiring": "one_to_one"}),
    ("E0831", {"after": "projection P : b.E -> b.E one_to_one delay 1 step { deliver i += 1 }"}),
    ("E0831", {"data": "signal z = t"}),
    ("E0831", {"after": "fit f = b.v on digits.train"}),
    ("E0831", {"after": "ensemble 3 vary draws"}),
    ("E0831", {"before": "modulator m(q) on b { emit mean(v) }"}),
    ("E0831", {"after": "loss q = mean(mean(mean(b.v over run last 3)))"}),
    ("E0831", {"after": "loss q = mean(mean(min(b.v over run)))"}),
    ("E0831", {"after": "loss q = mean(mean(sum(b.v^2 over run)))"}),
    ("E0435", {"tail": "expect w == 1 within 1e-9"}),
    ("E0831", {"steps": "set W.w := 2 * W.w;"}),
    ("E0831", {"steps": "each trial { reset };"}),
    ("E0831", {"rule": "on post { w := w + 1 };"}),
    ("E0831", {"rule": "state F = 0; F ~ uniform(0, 1);"}),
    ("E0831", {"after": "task k(batch = 4) { field label = 1 }\npairs s = wrong_label(k)"}),
    ("E0831", {"before": "modulator m on b { input q; emit mean(v) }"}),
    ("E0101", {"after": "metric q = mean(sum(a.s over row))"}),
]


def test_the_spec_that_is_varied_is_right() -> None:
    assert not [d for d in check(SPEC.format(**PARTS)).diagnostics if d.severity == "error"]


@pytest.mark.parametrize(("code", "part"), REFUSED, ids=lambda value: str(value)[:60])
def test_not_offered(code: str, part: dict[str, str]) -> None:
    found = check(SPEC.format(**{**PARTS, **part}))
    errors = [d for d in found.diagnostics if d.severity == "error"]
    assert errors and {d.code for d in errors} == {code}
    assert all(d.help for d in errors)
