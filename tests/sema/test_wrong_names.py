"""Names and units that come from other languages: one mistake, one error, and a way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from netdsl.frontend import check
from tests.syntax.wrong_specs import Wrong, read

TEXT = """\
edition 1
dt = 1 ms
neuron pixel { input p; s ~ bernoulli(p) }
neuron cell {
  input j
  state v = 0
  <units>
  d v/dt = (-v + j) / tau
  <cell>
  spike s when v > 1 { v := 0 }
  trace z of s { tau = 15 ms }
}
population img : pixel[64]
population out : cell[10]
rule hebb(rate = 0.01) {
  <rule>
}
projection W : img -> out dense delay 1 step {
  weight w ~ uniform(0, 0.5)
  deliver j += w * pre.s
  learn hebb()
}
data digits { source = "digits"; batch = 50; split train = train; split test = test }
protocol train {
  each batch of digits.train {
    reset
    <run>
    phase show 30 steps learning
  }
}
readout n = count(out.s over show)
metric m = mean(mean(n))
<top>
"""
GOOD = {
    "units": "param tau = 20 ms",
    "cell": "integrate v with euler",
    "rule": "dw = rate * pre.s * post.z",
    "run": "clamp img.p = sample.image",
    "top": "",
}
CASES = list(read(Path(__file__).parent / "wrong_names.txt"))


def framed(frame: str, text: str) -> tuple[str, int]:
    """The whole specification with a wrong piece, and the lines above that."""
    out = TEXT
    for name, good in GOOD.items():
        if name != frame:
            out = out.replace(f"<{name}>", good)
    if frame == "cell" and not text.startswith("integrate"):
        out = out.replace("<cell>", f"{GOOD['cell']}\n<cell>")
    above = out[: out.index(f"<{frame}>")]
    out = out.replace(f"  <{frame}>", text).replace(f"<{frame}>", text)
    return out, above.count("\n")


def errors(frame: str, text: str) -> list[tuple[int, int, int, str, str]]:
    """What is found in a piece, as a table says it."""
    whole, above = framed(frame, text)
    found = [d for d in check(whole, lower=False).diagnostics if d.severity == "error"]
    words = [d.message + (f" = {d.help}" if d.help else "") for d in found]
    spans = [d.primary for d in found]
    return [
        (s.line - above, s.column, s.end_column, d.code, w)
        for d, s, w in zip(found, spans, words, strict=True)
    ]


def test_the_frame_is_good() -> None:
    assert errors("top", "") == []


@pytest.mark.parametrize(
    ("units", "message", "help"),
    [
        ("param tau = 20", "`tau` has no unit, here it must be a time", "`tau = 20 ms`"),
        ("param tau : real = 5", "`tau` has no unit, here it must be a time", "`tau = 5 ms`"),
        (
            "param tau = 20 ms; param rest : mV = -70 mV; param low = -70; def gap = rest - low",
            "`low` has no unit, here it must be V",
            "`low = -70 mV`",
        ),
    ],
)
def test_the_number_without_unit_is_named(units: str, message: str, help: str) -> None:
    whole, _ = framed("units", units)
    (found,) = [d for d in check(whole, lower=False).diagnostics if d.severity == "error"]
    assert (found.code, found.message) == ("E0201", message)
    assert help in (found.help or "")
    assert found.labels[0].text == "a number without a unit"


def test_a_time_step_without_unit_among_times() -> None:
    whole = framed("top", "")[0].replace("dt = 1 ms", "dt = 1")
    (found,) = [d for d in check(whole, lower=False).diagnostics if d.severity == "error"]
    assert (found.code, found.primary.line, found.primary.column) == ("E0201", 2, 6)
    assert found.help == "write `dt = 1 ms`"


@pytest.mark.parametrize("wrong", CASES, ids=lambda wrong: f"{wrong.frame}: {wrong.text}")
def test_wrong_name(wrong: Wrong) -> None:
    assert tuple(errors(wrong.frame, wrong.text)) == wrong.marks
    assert len(wrong.marks) == 1
