"""A certificate names the cell types that a projection joins."""

from __future__ import annotations

from netdsl.frontend import check

SPEC = """
edition 1
neuron source { state s = 0 }
neuron unit { input j; state r = 0; r := relu(j) }
population x : source[64]
population net : unit[10] types { I: 3; E: 7 }
projection W : x -> net dense delay 0 { weight w ~ uniform(-1, 1); deliver j += w * pre.s }
rule hebb { dw = 0.01 * pre.r * post.r }
projection L : net.E -> net.I dense delay 1 step {
  weight w ~ uniform(0, 0.1)
  deliver j += -w * pre.r
  learn hebb()
}
data digits { source = "digits"; batch = 20 }
protocol train {
  each batch of digits.train { reset; clamp x.s = sample.image; phase run 3 steps learning }
}
"""


def test_parts_are_named() -> None:
    certificate = check(SPEC).certificate
    assert certificate is not None
    assert "L: net.E -> net.I learns hebb" in certificate.render()
