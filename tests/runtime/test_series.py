"""Fields of the data that have a value for each step: `clamp x.p = sample.wave@step`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import netdsl
from netdsl.backends.base import Executor
from tests.ir.test_functions import BACKENDS, missing

STEPS, UNITS, ROWS = 7, 5, 4
SPEC = """edition 1
neuron unit {{ input i; state v = 0; v := 0.5 * v + i }}
population a : unit[{units}]
data waves {{ source = "waves.npz"; batch = 2 }}
protocol show {{
  each batch of waves.train {{
    reset
    clamp a.i = 2 * sample.wave@step + 0.1 * index
    phase first {first} steps
    phase second 4 steps
  }}
}}
metric mean_v = mean(mean(a.v@second))
"""


def expected(wave: np.ndarray) -> np.ndarray:
    v = np.zeros((len(wave), wave.shape[2]))
    for step in range(STEPS):
        v = 0.5 * v + 2 * wave[:, step] + 0.1 * np.arange(wave.shape[2])
    return v


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_each_step_reads_its_own(backend: str, dtype: str) -> None:
    if missing(backend):
        pytest.skip(f"no compiler for {backend}")
    wave = np.random.default_rng(1).normal(size=(ROWS, STEPS + 2, UNITS))
    held = netdsl.compile(SPEC.format(units=UNITS, first=3), "numpy", dtype=dtype, rows=ROWS)
    held.reserve(ROWS)
    executor: Executor = BACKENDS[backend](held.program, {}, rows=ROWS, dtype=dtype)
    held.session.executor = executor
    held.present(wave=wave)
    held.reset()
    held.phase("first", "show")
    held.phase("second", "show")
    np.testing.assert_allclose(held.state["a.v"], expected(wave), rtol=1e-5, atol=1e-6)


def saved(folder: Path, wave: np.ndarray) -> dict[str, Path]:
    file = folder / "waves.npz"
    np.savez(file, train_wave=wave)
    return {"waves": file}


def test_counts_in_bytes_from_a_file(tmp_path: Path) -> None:
    wave = np.random.default_rng(2).integers(0, 3, (ROWS, STEPS, UNITS)).astype(np.uint8)
    held = netdsl.compile(SPEC.format(units=UNITS, first=3), "numpy", data=saved(tmp_path, wave))
    held.run("show", test=False)
    assert (
        held.datasets.open(netdsl.ir.protocol.SplitRef("waves", "train")).split.fields["wave"].dtype
        == np.uint8
    )
    np.testing.assert_allclose(held.state["a.v"], expected(wave[2:]), rtol=1e-5)


def test_one_unit_needs_no_third_axis(tmp_path: Path) -> None:
    wave = np.random.default_rng(3).normal(size=(ROWS, STEPS))
    held = netdsl.compile(SPEC.format(units=1, first=3), "numpy", data=saved(tmp_path, wave))
    held.run("show", test=False)
    np.testing.assert_allclose(held.state["a.v"], expected(wave[2:, :, None]), rtol=1e-5)


@pytest.mark.parametrize(
    ("first", "units", "code"),
    [(4, UNITS, "E0786"), (3, UNITS + 1, "E0745")],
    ids=["steps", "units"],
)
def test_too_short_or_too_wide(first: int, units: int, code: str, tmp_path: Path) -> None:
    wave = np.zeros((ROWS, STEPS, UNITS))
    text = SPEC.format(units=units, first=first)
    held = netdsl.compile(text, "numpy", data=saved(tmp_path, wave))
    with pytest.raises(netdsl.DiagnosticError) as found:
        held.run("show", test=False)
    assert found.value.diagnostics[0].code == code
    assert code != "E0786" or "has 7 steps, and a trial of 8" in str(found.value)
