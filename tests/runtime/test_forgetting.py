"""Nothing of an earlier presentation survives a reset, whatever ran before, in batches of any size.

Test metrics are the same numbers before and after training on other samples (with the weights put
back), and in evaluation batches of any size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

import netdsl
from netdsl.backends.cupy import shim
from netdsl.ir.network import Place
from tests.amounts import sweep
from tests.runtime.forgetting import spec
from tests.specs.test_shipped import NEEDS_FILES, SPECS, settings_of

LIMIT = 9
SIZES = (1, 4, 50)
SHIPPED = [path for path in SPECS if path.stem not in NEEDS_FILES and path.stem[-2] != "_"]
# Those that learn from a task draw other samples for another size of batches, and the metrics of
# some are means of batches.
DIGITS = [path for path in SHIPPED if not path.stem.startswith(("mdgl", "modprop", "hsic"))]
Make = Callable[[int], netdsl.Model]
needs_shim = pytest.mark.skipif(shim.compiler() is None, reason="no g++ for CUDA on the CPU")


def metrics(model: netdsl.Model, limit: int) -> Mapping[str, float]:
    return model.evaluate(limit=limit).metrics


def after_reset(model: netdsl.Model) -> dict[str, np.ndarray]:
    """Every per-sample value that outlasts a step, after a reset before test samples."""
    model.present(**model.samples("test", 4))
    model.reset()
    scratch = ("scratch", "hoisted", "sample")
    return {
        name: model.session.executor.read(name)
        for name, buffer in model.program.buffers.items()
        if buffer.place in (Place.ROW, Place.UNIT) and buffer.role not in scratch
    }


def train(model: netdsl.Model) -> None:
    """Train on a few batches and put the weights back."""
    before = model.session.parameters()
    model.run(limit=7, epochs=1, test=False)
    model.session.set_parameters(before)


def assert_forgets(make: Make, sizes: tuple[int, ...] = SIZES, limit: int = LIMIT) -> None:
    """`make(eval_batch)` gives a model of the same network."""
    fresh = make(4)
    expected, states = metrics(fresh, limit), after_reset(fresh)
    for eval_batch in sizes:
        model = make(eval_batch)
        for trained in (False, True):
            if trained:
                train(model)
            found = metrics(model, limit)
            for name, value in expected.items():
                assert found[name] == pytest.approx(value, rel=1e-9, abs=1e-9), (eval_batch, name)
        for name, value in after_reset(model).items():
            np.testing.assert_array_equal(value, states[name], err_msg=name)


@pytest.mark.parametrize("seed", sweep(range(10), lambda seed: seed < 3))
def test_random_networks_on_numpy(seed: int) -> None:
    assert_forgets(lambda n: netdsl.compile(spec(seed, n), "numpy", dtype="float64"))


@pytest.mark.parametrize("seed", sweep(range(3), lambda seed: seed == 0))
def test_random_networks_in_c(seed: int) -> None:
    assert_forgets(lambda n: netdsl.compile(spec(seed, n), "native", dtype="float64"))


@pytest.mark.slow
@needs_shim
def test_random_networks_in_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netdsl.runtime.backend.executor_class", lambda name: shim.ShimExecutor)
    assert_forgets(lambda n: netdsl.compile(spec(3, n), "cupy", dtype="float64"))


@pytest.mark.parametrize(
    "path",
    sweep(DIGITS, lambda path: path.stem in ("ep", "pc_nudge")),
    ids=lambda path: path.stem,
)
def test_shipped_specifications(path: Path) -> None:
    settings = settings_of(path)

    def make(eval_batch: int) -> netdsl.Model:
        sizes = {"digits.batch": 4, "digits.eval_batch": eval_batch}
        return netdsl.compile(path, "numpy", dtype="float64", set={**settings, **sizes})

    assert_forgets(make, sizes=(3, 50), limit=5)
