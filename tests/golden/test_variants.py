"""Recordings of the documented layout with other sizes, depths, constants and schedules."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.golden.__main__ import main
from tests.golden.made import Arrays, sweeping
from tests.golden.test_golden import DATA

ADAM = {"beta1": 0.8, "beta2": 0.99, "eps": 1e-6}
SWEEPS: dict[str, tuple[str, dict[str, Any]]] = {
    "two": ("bp_mse", {"architecture": [9, 6, 3], "batch": 1, "batches": 1}),
    "four": ("bp_ce", {"architecture": [11, 9, 8, 6, 4], "loss": "ce", "lr_decay": 1.0}),
    "adam": ("bp_mse", {"architecture": [11, 7, 3], "adam": ADAM, "lr_decay_step": 2}),
    "rectified": ("bp_mse", {"architecture": [11, 8, 7, 5], "final_layer_activation": True}),
    "softmax": ("fa", {"architecture": [11, 8, 7, 3], "algorithm": "fa", "loss": "ce"}),
    "all": ("fa", {"architecture": [9, 6, 4], "algorithm": "fa", "adam": ADAM, "batches": 5,
                   "final_layer_activation": True, "batches_per_epoch": 1}),
}  # fmt: skip


def recorded(name: str) -> tuple[Arrays, dict[str, Any]]:
    """A shipped recording and its `hyper`."""
    with np.load(DATA / f"{name}_a.npz") as archive:
        file = {key: archive[key] for key in archive.files}
    return file, json.loads(str(file["hyper"]))


def save(path: Path, file: Arrays, hyper: dict[str, Any]) -> str:
    """The path of the recording, now written."""
    content: dict[str, Any] = {**file, "hyper": np.array(json.dumps(hyper))}
    np.savez(path, **content)
    return str(path)


def test_the_generator_repeats_a_shipped_recording() -> None:
    """Its own numbers for the shipped inputs: what it makes of other inputs can be believed."""
    from tests.golden import made

    file, hyper = recorded("bp_ce")
    net = {key.removesuffix("_init"): file[key] for key in file if key.endswith("_init")}
    moments: Arrays = {}
    for b in range(len(file["X"])):
        for key, value in made._batch(file, hyper, net, moments, b).items():
            np.testing.assert_allclose(value, file[key][b], rtol=0, atol=1e-14, err_msg=key)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", SWEEPS)
def test_sweeps(name: str, dtype: str, tmp_path: Path) -> None:
    system, hyper = SWEEPS[name]
    content: dict[str, Any] = dict(sweeping(len(name), **hyper))
    np.savez(tmp_path / "made.npz", **content)
    assert main([system, str(tmp_path / "made.npz"), "--dtype", dtype]) == 0


@pytest.mark.parametrize("unused", [0.0, None])
def test_a_rate_that_nothing_uses(unused: float | None, tmp_path: Path) -> None:
    """Feedback into the input is never learned: files may give it no rate."""
    file, hyper = recorded("corinfomax")
    hyper["lr_fb"][0] = unused
    file["lr_fb"] = file["lr_fb"].copy()
    file["lr_fb"][:, 0] = np.nan if unused is None else unused
    assert main(["corinfomax", save(tmp_path / "made.npz", file, hyper)]) == 0


def test_a_rate_that_does_not_fall(tmp_path: Path) -> None:
    """PC-Nudge with factor 1: the first two batches of the shipped file, before the rate falls."""
    file, hyper = recorded("pc_nudge")
    count = len(file["X"])
    file = {k: v[:2] if v.ndim and len(v) == count else v for k, v in file.items()} | {
        key: file[key] for key in file if key.endswith("_init")
    }
    below = file["eval_X"].T
    for k in range(1, len(hyper["architecture"])):
        out = file[f"W{k}_after"][1] @ below + file[f"b{k}_after"][1]
        below = np.maximum(out, 0)
    file |= {"eval_out": out, "eval_pred": out.argmax(0)}
    hyper |= {"stepLR_gamma": 1.0, "stepLR_step_size": 1}
    assert main(["pc_nudge", save(tmp_path / "made.npz", file, hyper)]) == 0


def test_a_step_for_evaluations_alone(tmp_path: Path) -> None:
    """EP as its published scripts ran: trained with a step of 0.5, tested with another."""
    file, hyper = recorded("ep")
    hyper["neural_lr"] = 0.3
    W1, W2, b1, b2 = (file[f"{name}_after"][-1] for name in ("W1", "W2", "b1", "b2"))
    h, out = np.zeros((len(file["eval_X"]), len(b1))), np.zeros((len(file["eval_X"]), len(b2)))
    for _ in range(hyper["T_free"]):
        down = h - file["eval_X"] @ W1.T - b1 - out @ W2
        out = np.clip(out - 0.3 * (out - h @ W2.T - b2), 0, 1)
        h = np.clip(h - 0.3 * down, 0, 1)
    file |= {"eval_out": out, "eval_pred": out.argmax(1)}
    assert main(["ep", save(tmp_path / "made.npz", file, hyper)]) == 0


@pytest.mark.parametrize("broken", ["empty", "depth", "shape"])
def test_what_is_refused(broken: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A sentence, not a traceback."""
    file, hyper = recorded("ep")
    if broken == "depth":
        hyper["architecture"] = [20, 12, 10, 9, 8, 4]
    if broken == "shape":
        file["labels"] = file["labels"][:1]
    path = save(tmp_path / "made.npz", file, hyper)
    if broken == "empty":
        Path(path).write_bytes(b"PK\x03\x04 no archive")
    assert main(["ep", path]) == 2
    assert "error:" in capsys.readouterr().err
