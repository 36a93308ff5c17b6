"""Arrays of files: parameters, starts, weights, masks and signs, the same on every backend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netdsl
from netdsl.api import Model
from netdsl.backends.cupy import shim
from netdsl.backends.native import available
from netdsl.diagnostics import DiagnosticError
from netdsl.ir.protocol import RunPhase, Update
from netdsl.runtime.initial import initial_values
from netdsl.runtime.session import Session
from netdsl.runtime.steps import all_steps

TEXT = """\
edition 1
array cells = "cells.npz"
array wiring = "wiring.npz"
neuron source { state s = cells.s0 }
neuron unit {
  param gain per neuron = cells.gain
  input i
  state r = 2 * cells.r0
  r := r + gain * i
}
population a : source[5]
population b : unit[3]
rule hebb { at update { dw = 0.1 * pre.s * post.r } }
projection W : a -> b from wiring.mask sign by wiring.sign delay 0 {
  weight w = wiring.w
  deliver i += w * pre.s
  learn hebb()
}
rewire closed over W { budget = pairs; regrow 100 among initial at 0.5 }
protocol train(epochs = 1) {
  each epoch { reset; phase run 1 step; update W; rewire closed }
}
"""
RANDOM = np.random.default_rng(1)
CELLS = {"s0": RANDOM.random(5), "gain": RANDOM.random(3), "r0": RANDOM.random(3)}
WIRING = {
    "mask": RANDOM.random((5, 3)) < 0.6,
    "sign": np.array([1, -1, 1, -1, -1]),
    "w": RANDOM.random((5, 3)) * (RANDOM.random((5, 3)) < 0.7),
}
no_compiler = pytest.mark.skipif(not available()[0], reason="no C compiler")


def made(backend: str = "numpy", spec: str = TEXT, **other: Any) -> Model:
    given = {"cells": CELLS, "wiring": {**WIRING, **other}}
    return netdsl.compile(spec, backend, dtype="float64", rows=1, arrays=given)


@pytest.mark.parametrize("backend", ["numpy", pytest.param("native", marks=no_compiler)])
def test_a_network_from_arrays(backend: str) -> None:
    model = made(backend)
    mag = WIRING["mask"] * WIRING["w"]
    sign = WIRING["sign"][:, None]
    assert np.array_equal(model.state["W.mag"], mag)
    model.reset()
    model.phase("run")
    r = 2 * CELLS["r0"] + CELLS["gain"] * (CELLS["s0"] @ (sign * mag))
    assert np.allclose(model.state["b.r"][0], r, atol=1e-14)
    model.update()
    learnt = mag + sign * 0.1 * CELLS["s0"][:, None] * r * (mag > 0)
    assert np.allclose(model.state["W.mag"], learnt, atol=1e-14)
    model.rewire()
    opened = np.where((learnt <= 0) & WIRING["mask"], 0.5, learnt)
    assert np.allclose(model.state["W.mag"], opened, atol=1e-14)


@pytest.mark.skipif(shim.compiler() is None, reason="no g++ for CUDA on the CPU")
def test_cuda_learns_the_same() -> None:
    model = made()
    initial = initial_values(model.program, model.seed)
    executor = shim.ShimExecutor(model.program, initial, rows=1, dtype="float64", seed=0)
    session = Session(model.network, model.program, executor, 0)
    model.reset()
    session.reset()
    for step in all_steps(model.network):
        if isinstance(step, RunPhase | Update):
            steps = 1 if isinstance(step, RunPhase) else 0
            model.session.executor.call(step.site, steps)
            executor.call(step.site, steps)
    for path in ("b.r", "W.mag"):
        assert np.allclose(session.read(path), model.state[path], atol=1e-13)


def test_files(tmp_path: Path) -> None:
    spec = tmp_path / "spec.net"
    spec.write_text(TEXT)
    np.savez(tmp_path / "cells.npz", **CELLS)
    with pytest.raises(DiagnosticError, match="E0667"):
        netdsl.compile(spec, "numpy")
    np.savez(tmp_path / "other.npz", **WIRING)
    model = netdsl.compile(
        spec, "numpy", dtype="float64", rows=1, data={"wiring": tmp_path / "other.npz"}
    )
    assert np.array_equal(model.state["W.mag"], made().state["W.mag"])


@pytest.mark.parametrize(
    ("code", "other"),
    [
        ("E0668", {"w": np.ones((3, 5))}),
        ("E0668", {"w": np.full((5, 3), np.nan)}),
        ("E0668", {"mask": np.ones(5)}),
        ("E0667", {"mask": np.array("text")}),
        ("E0670", {"sign": np.array([1, -1, 1, 0, -1])}),
    ],
)
def test_what_does_not_fit(code: str, other: dict[str, np.ndarray]) -> None:
    with pytest.raises(DiagnosticError, match=code):
        made(**other).state["W.mag"]


def test_signs_of_files_balance_a_start() -> None:
    spec = TEXT.replace("weight w = wiring.w", "weight w ~ dale_balanced()")
    found = made(spec=spec.replace("from wiring.mask", "dense")).state["W.mag"]
    typed = TEXT.replace("weight w = wiring.w", "weight w ~ dale_balanced()")
    typed = typed.replace("from wiring.mask sign by wiring.sign", "dense sign by pre")
    typed = typed.replace("a : source[5]", "a : source[5] types { E: 3; I: 2 }")
    typed = typed.replace("edition 1", "edition 1\ncelltype E sign +\ncelltype I sign -")
    signs = np.array([1, 1, 1, -1, -1])
    same = made(spec=spec.replace("from wiring.mask", "dense"), sign=signs).state["W.mag"]
    assert np.array_equal(made(spec=typed).state["W.mag"], same)
    assert not np.array_equal(found, same)


def test_a_run_with_files(tmp_path: Path) -> None:
    spec = tmp_path / "spec.net"
    spec.write_text(TEXT)
    for name, arrays in (("cells", CELLS), ("wiring", WIRING)):
        np.savez(tmp_path / f"{name}.npz", **arrays)
    model = netdsl.compile(spec, "numpy", dtype="float64", rows=1)
    result = model.run(out=tmp_path / "runs")
    assert result.directory is not None
    assert Path(model.places()["cells"]) == tmp_path / "cells.npz"


def test_tables(tmp_path: Path) -> None:
    spec = tmp_path / "spec.net"
    spec.write_text(TEXT.replace("cells.s0", "0.5").replace("cells.npz", "cells.csv"))
    rows = zip(CELLS["gain"], CELLS["r0"], strict=True)
    table = "gain,r0\n" + "".join(f"{float(a)!r},{float(b)!r}\n" for a, b in rows)
    (tmp_path / "cells.csv").write_text(table)
    model = netdsl.compile(spec, "numpy", dtype="float64", rows=1, arrays={"wiring": WIRING})
    assert np.array_equal(model.state["b.gain"], CELLS["gain"])
    (tmp_path / "cells.csv").write_text("gain,r0\n1,x\n")
    with pytest.raises(DiagnosticError, match="E0667"):
        netdsl.compile(spec, "numpy", rows=1, arrays={"wiring": WIRING})
