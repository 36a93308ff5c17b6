"""Reductions over one axis in certificates."""

from __future__ import annotations

from netdsl.frontend import check
from netdsl.locality import certify

SPEC = """\
edition 1
neuron pixel {{ state z = 0 }}
neuron cell {{ input j; def r = relu(j); def level = {level} }}
population x : pixel[row: 8, col: 8]
population f : cell[row: 8, col: 8, ch: 3]
{before}
rule hebb {{ at update {{ dw = pre.z * post.r * {factor} }} }}
projection K : x -> f dense delay 0 {{
  weight w ~ xavier_normal(); deliver j += w * pre.z; learn hebb() }}
data digits {{ source = "digits"; batch = 5; split train = train }}
protocol train {{ each batch of digits.train {{ reset
  clamp x.z = sample.image; phase see 0 steps; update K }} }}
"""


def rule(level: str, factor: str = "post.level", before: str = ""):
    found = check(SPEC.format(level=level, factor=factor, before=before))
    assert not [d.message for d in found.diagnostics if d.severity == "error"]
    return certify(found.require())["K"]


def test_one_axis_is_known_to_fewer_than_the_population() -> None:
    found = rule("mean(r over ch)")
    assert (found.verdict, found.modulator_scope) == ("three-factor", "neuron")
    assert rule("mean(r)").modulator_scope == "population"
    assert rule("mean(r over row, col, ch)").modulator_scope == "population"


def test_a_modulator_may_emit_one() -> None:
    before = "modulator m on f { scope neuron; emit r - mean(r over ch) }"
    assert rule("r", "m", before).modulator_scope == "neuron"


def test_a_number_for_the_population_cannot_be_one() -> None:
    before = "modulator m on f { scope population; emit mean(r over ch) }"
    text = SPEC.format(level="r", factor="m", before=before)
    assert [d.code for d in check(text).diagnostics if d.severity == "error"] == ["E0208"]
