"""Gradients of random networks equal central differences of the same program."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from netdsl.api import Model
from netdsl.backends.cupy import shim
from netdsl.backends.native import available
from netdsl.frontend import check
from netdsl.passes import lower
from netdsl.runtime import backend as backends
from tests.amounts import sweep
from tests.reverse.networks import CLASSES, IMAGE, ROWS, Sample, sample

STEP = 1e-5
MISSING = {"native": not available()[0], "shim": shim.compiler() is None}

backends.BACKENDS.setdefault("judge", ("tests.differential.judge", "Judge"))
backends.BACKENDS.setdefault("shim", ("netdsl.backends.cupy.shim", "ShimExecutor"))


def modelled(made: Sample, backend: str, keep: str = "auto", dtype: str = "float64") -> Model:
    network = check(made.text, lower=False).require()
    program = lower(network, observe=[f"{name}.dw" for name in made.learning], keep=keep)
    return Model(network, program, backend, 3, dtype)


def loss(model: Model, made: Sample, label: NDArray[np.int64]) -> float:
    """Computed from the cells, step by step."""
    model.reset()
    a, v = [], []
    for _ in range(made.steps):
        model.step(1, "run", "train")
        a.append(np.asarray(model.state["out.a"]))
        v.append(np.asarray(model.state["out.v"]))
    if "over run" not in made.text:
        out = a[-1] + v[-1]
    else:
        out = np.mean(v, 0) if "mean(out.v over run)" in made.text else np.sum(v, 0)
    error = ((out - np.eye(CLASSES)[label]) ** 2).sum(1)
    return float(error.mean() if "loss E = mean" in made.text else error.sum())


def compared(made: Sample, backend: str, seed: int, each: int = 2) -> None:
    rng = np.random.default_rng(seed)
    image, label = rng.uniform(0, 1, (ROWS, IMAGE)), rng.integers(0, CLASSES, ROWS)
    model = modelled(made, backend)
    model.present(image=image, label=label)
    start = {name: np.array(model.state[f"{name}.w"]) for name in made.learning}
    loss(model, made, label)
    model.update()
    change = {name: np.array(model.state[f"{name}.dw"]) for name in made.learning}
    for name in made.learning:
        model.state[f"{name}.w"] = start[name]
    for name in made.learning:
        for _ in range(each):
            places = np.argwhere(start[name] != 0)
            place = tuple(places[rng.integers(len(places))])
            sides = []
            for move in (2, 1, -1, -2):
                moved = start[name].copy()
                moved[place] += move * STEP
                model.state[f"{name}.w"] = moved
                sides.append(loss(model, made, label))
            model.state[f"{name}.w"] = start[name]
            far, near = sides[0] - sides[3], sides[1] - sides[2]
            slope = (8 * near - far) / (12 * STEP)
            wanted = pytest.approx(-slope, rel=1e-6, abs=2e-9)
            assert change[name][place] == wanted, (name, place, made.text)
    model.close()


@pytest.mark.parametrize("seed", sweep(range(12), lambda seed: seed % 2 == 0))
def test_interpreted(seed: int) -> None:
    compared(sample(seed), "judge", seed)


@pytest.mark.parametrize("backend", ["numpy", "native", "shim"])
@pytest.mark.parametrize("seed", sweep([1, 20, 21], lambda seed: seed != 20))
def test_generated(seed: int, backend: str) -> None:
    if MISSING.get(backend):
        pytest.skip(f"{backend} is not there")
    compared(sample(seed), backend, seed, each=1)
