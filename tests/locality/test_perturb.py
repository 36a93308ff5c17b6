"""The dynamic twin: generated code sees no more than the certificate says."""

from __future__ import annotations

from collections.abc import Callable

import pytest

import netdsl
from netdsl.api import Model
from netdsl.frontend import lower_network
from netdsl.tools import perturb
from tests.locality.systems import corinfomax, csdp, ep
from tests.networks import Builder


def model(builder: Builder) -> Model:
    network = builder.network()
    return Model(network, lower_network(network), "numpy", 0, "float64", rows=4)


@pytest.mark.parametrize("system", [csdp, corinfomax, ep])
def test_updates_ignore_what_is_not_read(system: Callable[[], Builder]) -> None:
    report = perturb.perturb_model(model(system()))
    assert report.ok
    assert len(report.trials) >= 3
    for trial in report.trials:
        assert trial.changed
        assert trial.moved
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
    assert [trial.changed for trial in report.trials] == [("c.i", "c.s", "V.w")]


def test_where_nothing_can_be_changed_nothing_is_shown() -> None:
    report = perturb.perturb_model(netdsl.compile(SPEC % "", "numpy", dtype="float64"))
    assert not report.ok
    assert "nothing is tested" in report.render()
