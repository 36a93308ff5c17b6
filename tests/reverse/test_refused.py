"""What changes with the weights that learn by `bptt`, and hands no derivative on, is refused."""

from __future__ import annotations

import pytest

from netdsl.frontend import check
from netdsl.passes import LoweringError, lower

TEXT = """\
edition 1
celltype A sign +
neuron source {{ state s = 0 }}
neuron unit {{ input i; state s = 0; s := tanh(i + 0.5 * s{more}) }}
neuron end {{ input i; state s = 0; s := tanh(i) }}
population x : source[64]
population h : unit[5] types {{ A: 5 }}
population z : end[4] types {{ A: 4 }}
population out : end[10]
loss E = mean(cross_entropy(out.s@run, sample.label))
rule hebb {{ dw = 0.01 * pre.s * post.s }}
projection P : {ends} dense delay 0 {{
  weight w ~ uniform(0, 1)
  deliver i += w * pre.s
  learn hebb()
}}
projection W : x -> h dense delay 0 {{
  weight w ~ uniform(0, 1); deliver i += w * pre.s; learn bptt(loss = E) }}
projection V : h -> out dense delay 0 {{ weight w ~ uniform(0, 1); deliver i += w * pre.s }}
{table}
allow non_local on W because "the reference"
data digits {{ source = "digits"; batch = 20; split train = train }}
protocol train {{
  each batch of digits.train {{
    reset
    clamp x.s = sample.image
    phase run 3 steps {learning}
    update W
  }}
}}
"""
MEANS = """\
table gain[pre type, post type] = block_mean(P.w over present)
allow aggregated_weights on gain because "means"
"""
SCALED = """\
projection U : h -> h dense delay 1 step {
  weight w ~ uniform(0, 1); deliver i += gain[post.type, post.type] * w * pre.s }
allow aggregated_weights on U because "means"
"""


def lowered(
    ends: str, learning: str, more: str = "", table: str = "", steps: str = "3 steps"
) -> None:
    text = TEXT.format(ends=ends, learning=learning, more=more, table=table)
    text = text.replace("3 steps", steps)
    lower(check(text, lower=False).require())


def test_weights_that_follow_the_units_are_no_given_numbers() -> None:
    """The source is held and has no derivative; what the weights do has one."""
    lowered("x -> h", "")
    with pytest.raises(LoweringError) as caught:
        lowered("x -> h", "learning")
    problem = caught.value
    assert (problem.code, problem.span is not None and problem.span.line) == ("E0806", 14)


def test_what_was_delivered_before_the_first_change_is_given() -> None:
    lowered("x -> h", "learning", steps="1 step")


def test_weights_that_follow_what_no_derivative_reaches_are_given_numbers() -> None:
    lowered("x -> z", "learning")


def test_a_scale_that_follows_them_is_no_given_number() -> None:
    table = MEANS.splitlines(keepends=True)[0] + SCALED
    lowered("h -> z", "", "", table)
    with pytest.raises(LoweringError) as caught:
        lowered("h -> z", "learning", "", table)
    problem = caught.value
    assert problem.code == "E0806"
    assert problem.span is not None and problem.span.line == 22


def test_what_has_no_reverse_is_refused_where_a_derivative_reaches_it() -> None:
    reads = (" + gain[type, type]", MEANS)
    lowered("h -> z", "", *reads)
    with pytest.raises(LoweringError) as caught:
        lowered("h -> z", "learning", *reads)
    problem = caught.value
    assert problem.code == "E0806"
    assert problem.span is not None and problem.span.line == 20
