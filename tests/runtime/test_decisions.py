"""What conditions and lengths of a protocol may read: states, definitions, inputs, values at a
phase's end and reductions over its steps, though nothing else reads them."""

from __future__ import annotations

import pytest

import netdsl
from netdsl.backends.native import available

SPEC = """edition 1
neuron source {{ state r = 0 }}
neuron cell {{
  input j
  state n = 0
  state u = 0
  n := n + 1
  u := 0.5 * u + 0.5 * j
  def y = 2 * u
}}
population a : source[64]
population b : cell[3]
projection W : a -> b dense delay 0 {{ weight w = 0.015625; deliver j += w * pre.r }}
data d {{ source = "digits"; batch = 2 }}
protocol train {{
  each batch of d.train limit 1 {{
    reset
    clamp a.r = 1
    {body}
  }}
}}
metric m = mean(mean(b.n))
"""
BACKENDS = [
    "numpy",
    pytest.param("native", marks=pytest.mark.skipif(not available()[0], reason="no C compiler")),
]
# After round k of two steps: u = 1 - 0.25^k, its mean over both steps is 1 - 1.5 * 0.25^k.
READS = {
    "b.u": lambda k: 1 - 0.25**k,
    "b.y": lambda k: 2 - 2 * 0.25**k,
    "b.j": lambda k: 1,
    "b.u@see": lambda k: 1 - 0.25**k,
    "b.y@see": lambda k: 2 - 2 * 0.25**k,
    "mean(b.u over see)": lambda k: 1 - 1.5 * 0.25**k,
    "sum(b.y over see)": lambda k: 4 - 6 * 0.25**k,
}


def steps(body: str, backend: str) -> float:
    """How many steps a body took."""
    model = netdsl.compile(SPEC.format(body=body), backend, dtype="float64")
    model.run(test=False)
    return float(model.state["b.n"][0, 0])


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("read", READS)
def test_until(read: str, backend: str) -> None:
    last = READS[read](3)
    until = f"max(mean({read}) over batch) > {last - 1e-6}"
    body = f"repeat {{ phase see 2 steps }} until {until} limit 8"
    rounds = next(k for k in range(1, 9) if READS[read](k) > last - 1e-6)
    assert steps(body, backend) == 2 * rounds


@pytest.mark.parametrize("over", [True, False])
@pytest.mark.parametrize("read", READS)
def test_when(read: str, over: bool) -> None:
    level = READS[read](1) + (-1e-6 if over else 1e-6)
    body = (
        "phase see 2 steps\n"
        f"    when max(mean({read}) over batch) > {level} {{ phase more 5 steps }}"
    )
    assert steps(body, "numpy") == (7 if over else 2)
