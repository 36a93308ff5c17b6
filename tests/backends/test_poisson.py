"""`n ~ poisson(mean)`: the same counts on every backend, those of SciPy's quantiles."""

import numpy as np
import pytest
from scipy import stats

import netdsl
from netdsl.backends.base import Executor
from netdsl.streams.counts import poisson_counts
from netdsl.streams.draws import PhiloxStream, row_key
from tests.ir.test_functions import BACKENDS, missing

SPEC = """edition 1
neuron cell {{
  input mean
  n ~ poisson({mean})
  let twice = 2 * mean
  state total = 0
  total := total + n * twice
}}
population x : cell[{size}]
protocol simulate {{ clamp x.mean = {clamp}; phase run 3 steps }}
"""


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_counts_alike(backend: str, dtype: str) -> None:
    if missing(backend):
        pytest.skip(f"no compiler for {backend}")
    size, rows = 37, 3
    clamp = "0.002 * index^2 + (1000 if index == 36 else 0)"
    text = SPEC.format(mean="mean", size=size, clamp=clamp)
    program = netdsl.compile(text, "numpy").program
    executor: Executor = BACKENDS[backend](program, {}, rows=rows, dtype=dtype)
    keys = row_key(0, 0, np.arange(rows))
    executor.set_rows(rows, keys)
    (site,) = [name for name, r in program.routines.items() if r.kind == "phase"]
    for name, routine in program.routines.items():
        if routine.kind == "set":
            executor.call(name)
    executor.call(site, 3)
    mean = np.asarray(executor.read("x.mean"), np.float64)
    total = np.zeros((rows, size))
    for step in range(3):
        unit = PhiloxStream(0, "x.n").uniform(keys, step, size, dtype=np.float64)
        counts = np.maximum(stats.poisson.ppf(np.nextafter(unit, 1.0), mean), 0.0)
        total += counts * 2 * mean
    np.testing.assert_allclose(executor.read("x.n"), counts)
    np.testing.assert_allclose(executor.read("x.total"), total, rtol=1e-5)


def test_the_distribution() -> None:
    unit = (np.arange(20000) + 0.5) / 20000
    for mean in (0.01, 0.4, 3.0, 63.9, 64.1, 700.0, 1e5):
        counts = poisson_counts(unit, mean)
        expected = stats.poisson.ppf(unit, mean)
        assert (counts != expected).mean() <= 1e-4, mean
        assert counts.mean() == pytest.approx(mean, rel=0.01)
    odd = np.array([0.0, -1.0, np.nan])
    np.testing.assert_array_equal(poisson_counts(np.full(3, 0.999), odd), 0.0)
