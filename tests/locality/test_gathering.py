"""A vector has one line in a certificate, whatever the number of its components."""

from __future__ import annotations

from netdsl.frontend import check
from netdsl.locality.gathering import gathered
from tests.golden.case import SPECS


def test_indices_are_gathered() -> None:
    given = ["a[0]", "b", "a[1]", "a[2]", "c[1] of a[1]", "c[3] of a[3]", "a[0], a[1]", "b"]
    assert list(gathered(given)) == ["a[0..2]", "b", "c[1, 3] of a[1, 3]", "a[0], a[1]"]
    assert list(gathered(["g[4]", "t[I,E]"])) == ["g[4]", "t[I,E]"]


def test_a_vector_has_one_line() -> None:
    found = check(SPECS / "mdgl.net", {"n_out": 6}, lower=False)
    assert found.certificate is not None
    text = found.certificate["R"].render()
    for line in ("post.m[0..4] ", " d[0..4] ", "`rec.error`, `rec.blame[0..4]`"):
        assert text.count(line) == 1
    assert "`d[1]`" not in text and text.count("modulator `d[0..4]`") == 3


def test_what_a_synapse_keeps_and_whose_mean_a_modulator_is() -> None:
    found = check(STATES, lower=False)
    assert found.ok and found.certificate is not None
    notes = found.certificate["W"].notes
    kept = "`F`, `H[0..2]`, the eligibility `e` of `post.s`"
    assert f"kept from step to step for each synapse and sample: {kept}" in notes
    aggregated = "sum over population, by type, of `rec.s` (line 8)"
    assert f"modulator `da` (scope celltype) aggregates: {aggregated}" in notes


STATES = """
edition 1
celltype I sign -
celltype E sign +
neuron cell { input i; state s = 0; state g[3] = 0; s := 0.5 * s + relu(i); g[k] := s * (k + 1) }
population x : cell[4]
population rec : cell[10] types { I: 3; E: 7 }
modulator da on rec { scope celltype; emit mean(s by type) }
rule traced {
  eligibility e of w to post.s
  state F = 0
  state H[3] = 0
  H[k] := 0.9 * H[k] + e * post.g[k]
  F := 0.9 * F + e
  at update { dw = 0.001 * da * F + sum(H[k] over k) }
  reduce mean over batch
}
projection W : x -> rec dense delay 0 {
  weight w ~ uniform(0, 0.2)
  deliver i += w * pre.s
  learn traced()
}
protocol train { reset; phase run 5 steps learning; update W }
"""
