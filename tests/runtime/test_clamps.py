"""Clamps bind from the statement to the end of their block, at every step, over resets too."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import netdsl
from netdsl.backends.cupy import shim

CELLS = """edition 1
neuron source {
  input drive; state v = 1; state back = 0
  v := v + 1 + drive
  def twice = 2 * v; def both = twice + back
}
neuron target {
  input f; input j; state got = 0; got := f; state kept = 5; kept := kept + 1
  state v = 1; state back = 0
  v := v + 1
  def twice = 2 * v; def both = twice + back
}
population a : source[3]
population b : target[3]
projection W : a -> b dense delay 0 { weight w = 0; deliver j += w * pre.v; learn rule1() }
rule rule1 { at update { dw = post.f * post.kept } }
data d { source = "digits"; batch = 2 }
"""


@pytest.fixture(params=["numpy", "native", "cupy"])
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[..., object]:
    if request.param == "cupy":
        if shim.compiler() is None:
            pytest.skip("no g++ for CUDA on the CPU")
        monkeypatch.setattr("netdsl.runtime.backend.executor_class", lambda _: shim.ShimExecutor)

    def made(steps: str, more: str = "") -> netdsl.Model:
        text = f"{CELLS}{more}\nprotocol train {{ each batch of d.train limit 1 {{ {steps} }} }}\n"
        model = netdsl.compile(text, request.param, dtype="float64")
        model.run(limit=2, test=False)
        return model

    return made


@pytest.mark.parametrize(
    ("value", "last"),
    [("b.v", 3), ("b.twice", 6), ("b.both", 6), ("2 * b.twice", 12), ("phase.step", 2)],
)
def test_is_re_evaluated_at_every_step(run: Callable[..., object], value: str, last: float) -> None:
    """The third step begins with the value that the second one left: v = 3."""
    model = run(f"reset; clamp b.f = {value}; phase see 3 steps")
    np.testing.assert_array_equal(model.state["b.got"], np.full((2, 3), last))  # type: ignore[attr-defined]


@pytest.mark.parametrize("reset", ["reset", "reset b", "reset a"])
def test_binds_over_a_reset(run: Callable[..., object], reset: str) -> None:
    """An update after the reset reads what the clamps bind."""
    model = run(f"clamp b.f = 2; clamp b.kept = 4; {reset}; update W")
    np.testing.assert_array_equal(model.state["W.w"], np.full((3, 3), 16.0))  # type: ignore[attr-defined]


def test_ends_with_its_block(run: Callable[..., object]) -> None:
    model = run(
        "reset; repeat { clamp b.f = 2; clamp b.kept = 4; phase one 1 step } until 1 > 0 limit 1; "
        "reset; phase two 1 step"
    )
    assert (model.state["b.got"] == 0).all()  # type: ignore[attr-defined]
    assert (model.state["b.kept"] == 6).all()  # type: ignore[attr-defined]
