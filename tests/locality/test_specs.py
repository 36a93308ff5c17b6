"""The verdicts of the shipped specifications, as the models' published analyses have them."""

from __future__ import annotations

from pathlib import Path

import pytest

from netdsl.frontend import check
from netdsl.locality import Certificate

SPECS = Path(__file__).parents[2] / "specs"
TIED = ("ep", "ep_3", "ep_4", "csm", "csm_3", "pc", "pc_3", "pc_nudge", "pc_nudge_3")


def certificate(name: str, **overrides: str) -> Certificate:
    checked = check(SPECS / f"{name}.net", overrides, lower=False)
    assert checked.ok, checked.diagnostics
    assert checked.certificate is not None
    return checked.certificate


@pytest.mark.parametrize("name", ["csdp", "csdp_mnist", "csdp_unsupervised"])
def test_csdp(name: str) -> None:
    for rule in certificate(name).rules:
        scope = "population" if rule.rule == "csdp" else "global"  # `sample.positive` in the cell
        assert (rule.verdict, rule.modulator_scope) == ("three-factor", scope)
        assert rule.sample == "batch-size-dependent"
        assert rule.time == ("instant" if rule.projection == "R1" else "delayed(1)")


@pytest.mark.parametrize(
    "name", ["corinfomax", "corinfomax_3", "corinfomax_4", "corinfomax_sparse"]
)
def test_corinfomax(name: str) -> None:
    for rule in certificate(name).rules:
        assert (rule.verdict, rule.space, rule.time) == ("local", "pre+post", "trial-end")
        assert rule.phase == ("single" if rule.projection.startswith("B") else rule.phase)


def test_lateral_weights_are_conditional_unless_the_current_is_exposed() -> None:
    text = (SPECS / "corinfomax.net").read_text(encoding="utf-8")
    kept = [line for line in text.splitlines() if line.strip() != "expose lateral"]
    lines = [line for line in kept if not line.startswith("claim decorrelate")]
    checked = check("\n".join(lines), lower=False)
    assert checked.certificate is not None
    assert checked.certificate["B1"].verdict == "conditional"


@pytest.mark.parametrize("name", TIED)
def test_tied_feedback_is_weight_transport(name: str) -> None:
    for rule in certificate(name).rules:
        assert rule.verdict == "weight-transport"
        assert rule.waivers
        assert all(waiver.reason for waiver in rule.waivers)


def test_convolutions_that_learn_sum_over_places() -> None:
    for rule in certificate("hsic_cnn").rules:
        shared = rule.rule == "hidden"
        assert rule.space == ("aggregated-weights" if shared else "modulator")
        assert rule.verdict == ("cross-sample" if shared else "three-factor")
        assert len(rule.waivers) == (2 if shared else 0)
    assert {rule.verdict for rule in certificate("hsic_cnn_bp").rules} == {"non-local"}


def test_feedback_alignment_is_local() -> None:
    found = certificate("fa")
    assert {rule.verdict for rule in found.rules} == {"local"}
    assert any("(fixed, from" in note for rule in found.rules for note in rule.notes)


def test_back_propagation_is_non_local() -> None:
    for rule in certificate("bp").rules:
        assert (rule.verdict, rule.phase) == ("non-local", "derivative")
        assert rule.waivers
