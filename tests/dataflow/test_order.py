"""What waits for what within one step: the check of cycles and lowering agree, and nothing is read
before it was computed."""

from __future__ import annotations

import pytest

from netdsl.dataflow.order import Circle, in_order
from netdsl.frontend import check, lower_network

REST = """
data digits { source = "digits"; batch = 20; split train = train; split test = test }
protocol train {
  each batch of digits.train {
    reset
    clamp a.s = sample.image
    phase run 5 steps
  }
}
"""
SELF = """
edition 1
neuron source { state s = 0; state v = 0; v := v + s }
neuron unit { input i; input k; state u = 0; state s = 0
  u := 0.5 * u + k
  s := relu(i) }
population a : source[64]
population b : unit[10]
projection W : a -> b dense delay 0 { weight w ~ uniform(-1, 1); deliver k += w * pre.v }
projection R : b -> b dense delay 0 { weight w ~ uniform(-1, 1); deliver i += w * pre.u }
"""
DEFINED = """
edition 1
neuron source { state s = 0; state v = 0; v := v + s }
neuron relay { input k; state u = 0; u := k; def twice = 2 * u; def more = twice + 1 }
neuron unit { input i; state s = 0; s := relu(i) }
population b : unit[10]
population c : relay[10]
population a : source[64]
projection W : a -> c dense delay 0 { weight w ~ uniform(-1, 1); deliver k += w * pre.v }
projection R : c -> b dense delay 0 { weight w ~ uniform(-1, 1); deliver i += w * pre.more }
"""


def sequence(text: str) -> list[str]:
    """What the operations of a step write, in their order."""
    program = lower_network(check(text, lower=False).require())
    phase = next(r for r in program.routines.values() if r.kind == "phase")
    return [name for op in phase.step for name in op.writes]


@pytest.mark.parametrize(
    ("text", "source"), [(SELF, "b.u"), (DEFINED, "c.u")], ids=["onto itself", "through two defs"]
)
def test_a_delivery_waits_for_what_it_sends(text: str, source: str) -> None:
    order = sequence(text + REST)
    assert order.index(source) < order.index("b.i") < order.index("b.s")


def test_a_delivery_does_not_wait_for_an_earlier_value() -> None:
    """The value of the step before is there already: no cycle, neither checked nor lowered."""
    text = SELF.replace("pre.u", "pre.s@prev") + REST
    assert check(text).ok
    assert sequence(text).index("b.i") < sequence(text).index("b.s")


def test_order_and_circle() -> None:
    assert in_order({"c": ["b"], "b": ["a"]}) == ("a", "b", "c")
    with pytest.raises(Circle) as circle:
        in_order({"a": ["b"], "b": ["a"]})
    assert set(circle.value.nodes) == {"a", "b"}
