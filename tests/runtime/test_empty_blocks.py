"""A mean over no synapses is 0, and a warning says so when the network is made."""

from __future__ import annotations

import pytest

import netdsl
from netdsl.runtime import backend as backends
from tests.runtime.test_eprop import BACKENDS

SPEC = """
edition 1
celltype I sign -
celltype E sign +
neuron cell { input i; input m; state s = 0; s := relu(i); state a = 0; a := 0.1 * s + m }
population rec : cell[6] types { I: 2; E: 4 } SHUFFLED
projection R : rec -> rec sparse(p = CHANCE) sign by pre delay 1 step {
  weight w = WEIGHT
  deliver i += w * pre.s
}
table gain[pre type, post type] = block_mean(R.w over OVER)
projection M : rec -> rec mask_transpose of R delay 1 step {
  deliver m += gain[post.type, pre.type] * pre.a
}
protocol train { reset; phase run 1 steps }
"""
COMMON = {"SHUFFLED": "", "CHANCE": "1", "WEIGHT": "1 if pre.type == E else 0", "OVER": "present"}
EMPTY = "warning: table `gain`, line 11, is 0 from I to I, from I to E: `R` has no synapse there"


def warned(capsys: pytest.CaptureFixture[str], backend: str = "numpy", **other: str) -> list[str]:
    text = SPEC
    for name, value in {**COMMON, **other}.items():
        text = text.replace(name, value)
    model = netdsl.compile(text, backend=backend, dtype="float64")
    model.session.read("rec.s")
    model.close()
    return [line for line in capsys.readouterr().err.splitlines() if "warning" in line]


def test_an_empty_block(capsys: pytest.CaptureFixture[str]) -> None:
    assert warned(capsys) == [EMPTY]
    assert warned(capsys, SHUFFLED="shuffled") == [EMPTY]


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_backend_says_so(
    backend: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = ("netdsl.backends.cupy.shim", "ShimExecutor")
    monkeypatch.setitem(backends.BACKENDS, "shim", place)
    assert warned(capsys, backend) == [EMPTY]


def test_no_empty_block(capsys: pytest.CaptureFixture[str]) -> None:
    assert warned(capsys, WEIGHT="1") == []
    assert warned(capsys, OVER="all") == []  # pairs count, with a synapse or without


def test_no_synapse_at_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert warned(capsys, CHANCE="0")[0].count("from") == 4
