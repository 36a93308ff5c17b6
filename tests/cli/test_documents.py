"""What the documents show is true: their specs check and run, their Python runs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import netdsl as package
from netdsl.cli.main import COMMANDS
from tests.cli.command import Command

ROOT = Path(__file__).resolve().parent.parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_spec_checks_and_runs(netdsl: Command) -> None:
    spec = netdsl.spec(re.findall(r"```\n(edition 1\n.*?)```", README, re.S)[0], "readme.net")
    checked = netdsl("check", spec)
    assert checked.code == 0, checked.err
    assert "error" not in checked.err and "three-factor" in checked.out
    done = netdsl("run", spec, "--backend", "numpy", "--limit", "40", "--quiet")
    assert done.code == 0, done.err


def test_the_readme_names_every_command() -> None:
    for command in COMMANDS:
        assert f"netdsl {command}" in README, command


def test_the_python_page(netdsl: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page's first blocks, on small sizes and one epoch."""
    model = package.compile(
        ROOT / "specs" / "csdp.net", "numpy", set={"n1": 20, "n2": 10, "T": 10}, seed=1
    )
    result = model.run(epochs=1, limit=40)
    assert 0 <= result.metrics["test"]["accuracy"] <= 1
    assert model.evaluate("test", "dev").samples == 200
    model.save_state("weights.npz")
    before = model.state["W1.w"]
    model.state["W1.w"] = 0
    assert not model.state["W1.w"].any()
    model.load_state("weights.npz")
    np.testing.assert_array_equal(model.state["W1.w"], before)
    model.present(**model.samples("test", 16))
    model.reset()
    raster = []
    for _ in range(10):
        model.step(phase="show", protocol="test")
        raster.append(model.state["h1.s"])
    assert np.stack(raster).shape == (10, 16, 20)
    model.state["h1.thr"] = 0.05
    model.phase("show", protocol="test")
    assert "W1" in model.certificate.render() and "phase show" in model.show("schedule")


def test_stepping_is_the_same_as_a_whole_phase(netdsl: Command) -> None:
    found = []
    for whole in (True, False):
        model = package.compile(ROOT / "specs" / "csdp.net", "numpy", set={"n1": 20, "T": 7})
        model.present(**model.samples("test", 5))
        model.reset()
        if whole:
            model.phase("show", protocol="test")
        else:
            model.step(3, phase="show", protocol="test")
            model.step(4, protocol="test")
        found.append({name: model.state[name] for name in ("h1.v", "h1.s", "img.s", "out.z")})
    for name, value in found[0].items():
        np.testing.assert_array_equal(value, found[1][name], err_msg=name)


def test_mistakes_with_paths(netdsl: Command) -> None:
    model = package.compile(ROOT / "specs" / "csdp.net", "numpy", set={"n1": 20})
    with pytest.raises(package.RunFault, match="there is no variable `h1.vv`") as caught:
        model.state["h1.vv"]
    assert caught.value.help == "did you mean `h1.v`?"
    with pytest.raises(package.RunFault, match=r"has shape \(64, 20\)"):
        model.state["W1.w"] = np.zeros((20, 64))
    with pytest.raises(package.RunFault, match="there is no phase `shoe`"):
        model.phase("shoe")
    with pytest.raises(package.RunFault, match="no number type"):
        package.compile(ROOT / "specs" / "csdp.net", dtype="float16")
    with pytest.raises(package.DiagnosticError, match="E0101"):
        package.compile("edition 1\nneuron a { state v = 0; v := w }\npopulation p : a[2]\n")
