"""Verdicts of the published systems, as their sheets give them."""

from __future__ import annotations

import pytest

from netdsl.locality import certify
from tests.locality.systems import corinfomax, csdp, ep


def test_csdp_is_three_factor_with_population_scope() -> None:
    certificate = certify(csdp().network())
    assert certificate.diagnostics == ()
    rule = certificate["W1"].json()
    assert {k: rule[k] for k in ("space", "modulator_scope", "time", "sample", "phase")} == {
        "space": "modulator",
        "modulator_scope": "population",
        "time": "delayed(1)",
        "sample": "batch-size-dependent",
        "phase": "single",
    }
    assert rule["verdict"] == "three-factor"
    assert rule["reads"] == ["pre.s", "post.z", "good", "post.s"]
    assert any("sum over population" in note for note in rule["notes"])


def test_csdp_delta_rule_reads_a_flag_of_the_sample() -> None:
    rule = certify(csdp().network())["C2"]
    assert (rule.verdict, rule.space, rule.modulator_scope) == (
        "three-factor",
        "modulator",
        "global",
    )
    assert rule.sample == "batch-size-dependent"
    assert any("`T` (fixed, from `img`)" in note for note in rule.notes)


@pytest.mark.parametrize("expose", [False, True])
def test_corinfomax(expose: bool) -> None:
    certificate = certify(corinfomax(expose).network())
    assert certificate.diagnostics == ()
    for name in ("Wff1", "Wff2", "Wfb2"):
        rule = certificate[name]
        assert (rule.verdict, rule.phase, rule.time) == ("local", "multi(2)", "trial-end")
    lateral = certificate["B1"]
    assert lateral.verdict == ("local" if expose else "conditional")
    assert lateral.space == ("pre+post" if expose else "pre-internal")
    assert lateral.phase == "single"


def test_equilibrium_propagation_is_weight_transport_everywhere() -> None:
    certificate = certify(ep().network())
    assert certificate.diagnostics == ()
    for name in ("W1", "W2", "W3"):
        rule = certificate[name]
        assert (rule.verdict, rule.phase) == ("weight-transport", "multi(2)")
        assert "is the transpose of" in rule.witness[0]
        assert rule.waivers


def test_unwaived_transport_is_one_error_per_transpose() -> None:
    found = certify(ep(waived=False).network()).diagnostics
    assert [d.code for d in found] == ["E0313", "E0313"]
    assert len(found[0].labels) == 3


def test_fixed_feedback_is_local() -> None:
    certificate = certify(ep(tied=False).network())
    assert certificate.diagnostics == ()
    assert {rule.verdict for rule in certificate.rules} == {"local"}
    assert any("fixed, from `h2`" in note for note in certificate["W1"].notes)


def test_human_form_shows_lines_and_witness() -> None:
    text = certify(ep().network()).render()
    assert "W2: h1 -> h2 learns ep" in text
    assert "waived: weight_transport on W2t" in text
    assert "is the transpose of `W2`" in text
