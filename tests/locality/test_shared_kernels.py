"""Weight sharing in certificates, and the dynamic twin on a convolutional net."""

from __future__ import annotations

from pathlib import Path

import netdsl
from netdsl.frontend import check
from netdsl.locality import certify
from netdsl.tools.perturb import perturb_model

SPEC = Path(__file__).resolve().parents[2] / "specs" / "examples" / "convolution.net"
RANDOM = {"teacher": "random"}


def test_a_shared_kernel_is_labelled_like_its_synapses_and_noted() -> None:
    network = check(SPEC, RANDOM, lower=False).require()
    certificate = certify(network)
    for name, positions in (("K1", 64), ("K2", 16)):
        rule = certificate[name]
        assert rule.verdict == "local"
        note = f"weight sharing: one kernel for {positions} positions, its change their sum"
        assert note in rule.notes
    assert not any("kernel" in note for note in certificate["W"].notes)


def test_what_a_rule_does_not_read_leaves_its_kernel_alone() -> None:
    model = netdsl.compile(SPEC, backend="numpy", dtype="float64", set=RANDOM, seed=1)
    report = perturb_model(model)
    assert {trial.projection for trial in report.trials} == {"K1", "b1", "K2", "b2", "W"}
    assert report.ok, report.render()
    assert all(trial.moved and trial.changed for trial in report.trials)
