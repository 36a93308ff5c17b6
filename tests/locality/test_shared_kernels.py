"""Weight sharing in certificates, and the dynamic twin on a convolutional net."""

from __future__ import annotations

from pathlib import Path

import pytest

import netdsl
from netdsl.frontend import Checked, check
from netdsl.locality import certify
from netdsl.tools.perturb import perturb_model

SPEC = Path(__file__).resolve().parents[2] / "specs" / "examples" / "convolution.net"
RANDOM = {"teacher": "random"}


def test_a_shared_kernel_sums_the_changes_of_many_synapses() -> None:
    network = check(SPEC, RANDOM, lower=False).require()
    certificate = certify(network)
    for name, positions in (("K1", 64), ("K2", 16)):
        rule = certificate[name]
        assert rule.verdict == "aggregated-weights"
        assert [(w.target, w.reason) for w in rule.waivers] == [
            (name, "a convolution shares its kernel")
        ]
        note = f"weight sharing: one kernel for {positions} positions, its change their sum"
        assert note in rule.notes
    assert not any("kernel" in note for note in certificate["W"].notes)


MAPS = """edition 1
neuron src {{ state s = 1; s := 0.9 * s + 0.1 }}
neuron unit {{ input i; state s = 0; s := 0.9 * s + i }}
population a : src[row: 6, col: 6, ch: 2]
population b : unit[{post}]
rule hebb {{ dw = 0.01 * pre.s * post.s }}
projection W : {pre} -> b {edge} delay 1 step {{
  weight w ~ normal(0, 1); deliver i += w * pre.s{learn}
}}
projection R : a -> b dense delay 1 step {{
  weight w ~ normal(0, 1); deliver i += w * pre.s; learn hebb()
}}
protocol train {{ reset; phase run 5 steps learning }}
"""


@pytest.mark.parametrize(
    ("edge", "post", "pre", "shares"),
    [
        ("conv(3)", "row: 4, col: 4, ch: 3", "a", True),
        ("conv(kernel = 6)", "row: 1, col: 1, ch: 3", "a", False),  # one place: a full projection
        ("pool(2)", "row: 3, col: 3, ch: 2", "a", True),
        ("shared_over(row, col)", "row: 4, col: 4, ch: 3", "std.one", True),
        ("shared_over(row)", "row: 4, col: 4, ch: 3", "a", True),
        ("dense", "row: 4, col: 4, ch: 3", "a", False),
    ],
)
def test_only_kernels_that_learn_need_a_waiver(
    edge: str, post: str, pre: str, shares: bool
) -> None:
    def found(learn: str) -> Checked:
        return check(MAPS.format(edge=edge, post=post, pre=pre, learn=learn), lower=False)

    learning, fixed = found("; learn hebb()"), found("")
    assert [d.code for d in learning.diagnostics if d.severity == "error"] == ["E0311"] * shares
    assert learning.certificate is not None and fixed.certificate is not None
    assert learning.certificate["W"].verdict == ("aggregated-weights" if shares else "local")
    assert learning.certificate["R"].verdict == "local"  # what is delivered carries no mark
    assert fixed.ok and fixed.certificate["R"].verdict == "local"


def test_what_a_rule_does_not_read_leaves_its_kernel_alone() -> None:
    model = netdsl.compile(SPEC, backend="numpy", dtype="float64", set=RANDOM, seed=1)
    report = perturb_model(model)
    assert {trial.projection for trial in report.trials} == {"K1", "b1", "K2", "b2", "W"}
    assert report.ok, report.render()
    assert all(trial.moved and trial.changed for trial in report.trials)
