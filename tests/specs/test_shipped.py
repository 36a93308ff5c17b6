"""Every shipped specification parses, is formatted, checks without a finding, and learns."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

import netdsl
from netdsl.frontend import check
from netdsl.syntax.fmt import format_source

SPECS = sorted((Path(__file__).resolve().parents[2] / "specs").glob("*.net"))
# Environment variables: folders of MNIST's IDX files, and of CIFAR-10's binary ones.
MNIST = ("NETDSL_MNIST", "train-images-idx3-ubyte.gz")
CIFAR = ("NETDSL_CIFAR10", "data_batch_1.bin")
NEEDS_FILES = {
    "csdp_mnist": ("digits", *MNIST),
    "hsic_cnn": ("samples", *CIFAR),
    "hsic_cnn_bp": ("samples", *CIFAR),
}
SMALL = {"n1": 12, "n2": 10, "n3": 8, "cues.n_cue": 3, "cues.batch": 8}
SMALL |= {"cues.cue": 20, "cues.pause": 5, "cues.delay": 10, "cues.recall": 10}

SMALL_HSIC = SMALL | {"members": 2, "n": 40, "T": 6}

# Verdicts of learning rules by specification and rule: sheet corinfomax.md section 10, csdp.md
# section 8, mdgl.md section 13, hsic.md section 8.
VERDICTS = {
    "csdp": {"csdp": {"three-factor"}, "correct": {"three-factor"}},
    "csdp_unsupervised": {"csdp": {"three-factor"}, "correct": {"three-factor"}},
    "corinfomax": {"predict": {"local"}, "decorrelate": {"local"}},
    "corinfomax_4": {"predict": {"local"}, "decorrelate": {"local"}},
    "corinfomax_sparse": {"predict": {"local"}, "decorrelate": {"local"}},
    "ep": {"contrast": {"weight-transport"}},
    "csm": {"contrast": {"weight-transport"}, "similarity": {"weight-transport"}},
    "pc": {"explain": {"weight-transport"}},
    "pc_nudge": {"explain": {"weight-transport"}},
    "fa": {"descend": {"local"}, "shift": {"local"}},
    "bp": {"bptt": {"non-local"}},
    "hsic": {"hidden": {"cross-sample"}, "readout": {"three-factor"}},
    "hsic_autodiff": {"hidden": {"cross-sample"}, "readout": {"three-factor"}},
    "hsic_bp": {"bptt": {"non-local"}},
    "hsic_coupled": {"hidden": {"three-factor"}, "lms": {"three-factor"}},
    "hsic_lif": {"hidden": {"cross-sample"}, "readout": {"three-factor"}},
    "hsic_reservoir": {"lms": {"three-factor"}},
    "hsic_cnn_bp": {"bptt": {"non-local"}},
    "mdgl": {"mdgl": {"weight-transport"}, "readout": {"three-factor"}, "bias": {"three-factor"}},
    "modprop": {"mdgl": {"weight-transport"}, "readout": {"three-factor"}},
}


def settings_of(path: Path) -> dict[str, int]:
    """Sizes small enough for a test, of the parameters that a specification has."""
    network = check(path, lower=False).require()
    small = SMALL_HSIC if path.stem.startswith("hsic") else SMALL
    return {name: size for name, size in small.items() if name in network.params}


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_is_formatted(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert format_source(text, path.name) == text


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_checks_without_a_finding(path: Path) -> None:
    found = check(path)
    assert not found.diagnostics, [f"{d.code} {d.message}" for d in found.diagnostics]


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_learns_and_evaluates(path: Path) -> None:
    data = {}
    if path.stem in NEEDS_FILES:
        name, variable, file = NEEDS_FILES[path.stem]
        folder = os.environ.get(variable, "")
        if not Path(folder, file).exists():
            pytest.skip(f"needs `{file}`: looked in ${variable} = {folder!r}")
        data = {name: folder}
    model = netdsl.compile(path, backend="numpy", set=settings_of(path), data=data)
    stored = ("W1.w", "Wff1.w", "W.mag", "Wo.w")
    first = next(path for path in stored if path.split(".")[0] in model.network.projections)
    before = model.state[first]
    result = model.run(epochs=1, limit=200)
    assert (before != model.state[first]).any()
    if "test" in model.network.protocols:  # of an ensemble a number for each member
        accuracy = np.asarray(result.metrics["test"]["accuracy"])
        assert (accuracy >= 0).all() and (accuracy <= 1).all()


@pytest.mark.parametrize("name", sorted(VERDICTS))
def test_verdicts(name: str) -> None:
    path = next(path for path in SPECS if path.stem == name)
    certificate = check(path, lower=False).certificate
    assert certificate is not None
    found: dict[str, set[str]] = {}
    for entry in certificate.rules:
        found.setdefault(entry.rule, set()).add(entry.verdict)
    for rule, verdicts in VERDICTS[name].items():
        assert found[rule] == verdicts
