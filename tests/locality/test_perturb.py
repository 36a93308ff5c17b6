"""The dynamic twin: generated code sees no more than the certificate says."""

from __future__ import annotations

from collections.abc import Callable

import pytest

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
