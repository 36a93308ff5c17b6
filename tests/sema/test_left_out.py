"""Names that a branch inside a body declares are known to what another branch reads."""

from __future__ import annotations

import pytest

from netdsl.frontend import check

TEXT = """edition 1
param rule : {plain, costly} = plain
param cost = 0
let tamed = cost > 0
neuron source { input p; s ~ bernoulli(p) }
neuron unit { input i; state v = 0; v := 0.9 * v + i
  when tamed { state active = 0; active := active + v } }
population x : source[16]
population h : unit[7]
when tamed and rule == costly {
  modulator much on h { scope neuron; emit READ - 0.1 }
}
rule learns {
  when tamed and rule == costly { at update { dw = pre.s * much } }
  else { at update { dw = pre.s * post.v } }
}
projection W : x -> h dense delay 0 {
  weight w ~ uniform(0, 1); deliver i += w * pre.s; learn learns()
}
data d { source = "digits"; batch = 4; split train = train[0, 10] }
protocol train(epochs = 1) { each epoch { each batch of d.train {
  reset; clamp x.p = 0.3; phase run 5 steps learning; update W } } }
"""


@pytest.mark.parametrize("rule", ["plain", "costly"])
@pytest.mark.parametrize("cost", [0, 1])
def test_no_choice_makes_a_name_unknown(rule: str, cost: int) -> None:
    found = check(TEXT.replace("READ", "active"), {"rule": rule, "cost": cost}).diagnostics
    assert not [d for d in found if d.severity == "error"], found


def test_a_name_that_no_branch_declares_is_unknown() -> None:
    found = check(TEXT.replace("READ", "activ"), {"cost": 1}).diagnostics
    assert [d.code for d in found if d.severity == "error"] == ["E0101"]
