"""Shipped specifications trained for a few batches on generated CUDA and on NumPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import netdsl
from netdsl.backends.cupy import shim
from netdsl.runtime import backend
from tests.amounts import specs
from tests.backends import test_cuda_golden
from tests.specs.test_shipped import NEEDS_FILES, SPECS, settings_of

pytestmark = [
    pytest.mark.skipif(shim.compiler() is None, reason="no g++ for CUDA on the CPU"),
    pytest.mark.slow,
]
HERE = [path for path in SPECS if path.stem not in NEEDS_FILES]


@pytest.mark.parametrize("path", specs(HERE), ids=lambda path: path.stem)
def test_training_agrees(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        backend.BACKENDS, "shim", (test_cuda_golden.__name__, test_cuda_golden.OneThread.__name__)
    )
    parameters = []
    for name in ("numpy", "shim"):
        model = netdsl.compile(path, backend=name, set=settings_of(path), dtype="float64", seed=3)
        model.run(epochs=1, limit=40)
        parameters.append(model.session.parameters())
        model.close()
    assert parameters[0].keys() == parameters[1].keys()
    for key, expected in parameters[0].items():
        np.testing.assert_allclose(parameters[1][key], expected, 1e-7, 1e-9, err_msg=key)
