"""The dynamic twin: generated code sees no more than the certificate says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import netdsl
from netdsl.api import Model
from netdsl.frontend import lower_network
from netdsl.tools import additive, perturb
from tests.locality.systems import corinfomax, csdp, ep
from tests.networks import Builder

EXAMPLES = Path(__file__).resolve().parents[2] / "specs" / "examples"


def model(builder: Builder) -> Model:
    network = builder.network()
    return Model(network, lower_network(network), "numpy", 0, "float64", rows=4)


@pytest.mark.parametrize("system", [csdp, corinfomax, ep])
def test_updates_ignore_what_is_not_read(system: Callable[[], Builder]) -> None:
    report = perturb.perturb_model(model(system()))
    assert report.ok
    assert len(report.trials) >= 3
    for trial in report.trials:
        assert trial.samples or (trial.changed and trial.moved)
    assert "update identical" in report.render()


def test_a_wrong_certificate_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    def blind(*args: object) -> frozenset[str]:
        return frozenset({"W1.w"})

    monkeypatch.setattr(perturb, "reach", blind)
    report = perturb.perturb_model(model(csdp()))
    assert not report.ok
    assert "depend on what the certificate excludes" in report.render()


SPEC = """edition 1
neuron src { state s = 1; s := 0.9 * s + 0.1 }
neuron unit { input i; state s = 0; s := 0.9 * s + i }
rule hebb { state F = 0; F := 0.9 * F + post.s; dw = 0.01 * pre.s * F }
population a : src[5]
population b : unit[4]
projection W : a -> b dense delay 1 step {
  weight w ~ normal(0, 1); deliver i += w * pre.s; learn hebb()
}
%s
protocol train { reset; phase run 5 steps learning }
"""
BESIDE = """population c : unit[3]
projection V : b -> c dense fixed delay 1 step { weight w ~ normal(0, 1); deliver i += w * pre.s }
"""


def test_without_data_a_protocol_is_tested_as_a_whole() -> None:
    report = perturb.perturb_model(netdsl.compile(SPEC % BESIDE, "numpy", dtype="float64"))
    assert report.ok
    (excluded, samples) = report.trials
    assert excluded.changed == ("c.i", "c.s", "V.w")
    assert samples.samples and samples.changed and samples.moved


def test_where_nothing_can_be_changed_nothing_is_shown() -> None:
    spec = SPEC.replace("pre.s * F", "w") % ""
    report = perturb.perturb_model(netdsl.compile(spec, "numpy", dtype="float64"))
    assert not report.ok
    assert "nothing is tested" in report.render()


@pytest.mark.parametrize("name", ["oja", "reward_modulated"])
def test_where_a_step_reads_everything_samples_are_changed(name: str) -> None:
    report = perturb.perturb_model(
        netdsl.compile(EXAMPLES / f"{name}.net", "numpy", dtype="float64")
    )
    assert report.ok, report.render()
    (excluded, samples) = report.trials
    assert not excluded.changed and samples.changed
    assert "add up over samples" in report.render()


@pytest.mark.parametrize(
    ("term", "adds"),
    [
        ("pre.s * post.s", True),
        ("pre.s * post.s * w", True),
        ("pre.s * m", False),
    ],
)
def test_a_wrong_sample_level_is_found(
    term: str, adds: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = "modulator m on b { scope neuron; emit s - mean(s[q]^2 over q in batch) }\n"
    more += "" if adds else 'allow cross_sample on m because "to be found out"'
    spec = SPEC.replace("state F = 0; F := 0.9 * F + post.s; dw = 0.01 * pre.s * F", f"dw = {term}")
    model = netdsl.compile(spec % more, "numpy", dtype="float64")
    assert model.certificate["W"].sample == ("batch-reduced" if adds else "cross-sample")
    monkeypatch.setattr(additive, "FREE", ("batch-reduced", "cross-sample"))
    report = perturb.perturb_model(model)
    samples = report.trials[-1]
    assert samples.samples and samples.moved
    assert bool(samples.differing) is not adds
    assert ("depends on the others" in report.render()) is not adds
