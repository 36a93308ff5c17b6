"""Back-propagation through the networks of the HSIC rule: a small run, and start values."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import netdsl
from tests.sema.build import text

SPECS = Path(__file__).resolve().parents[2] / "specs"


@pytest.fixture
def cifar(tmp_path: Path) -> Path:
    """Images whose brightness is their class, in the binary version of CIFAR-10."""
    rng = np.random.default_rng(0)
    for name, count in (("data_batch_1.bin", 32), ("test_batch.bin", 8)):
        labels = np.arange(count) % 2
        pixels = rng.integers(0, 100, (count, 3 * 32 * 32)) + 150 * labels[:, None]
        records = np.concatenate([labels[:, None], pixels], 1).astype(np.uint8)
        (tmp_path / name).write_bytes(records.tobytes())
    return tmp_path


@pytest.mark.parametrize("blocks", [pytest.param(1, marks=pytest.mark.slow), 3])
def test_maps_learn_images(cifar: Path, blocks: int) -> None:
    sizes = {"n1": 3, "n2": 4, "n3": 5, "classes": 2, "blocks": blocks}
    data = {"samples": str(cifar)}
    model = netdsl.compile(SPECS / "hsic_cnn_bp.net", set=sizes, data=data, backend="numpy")
    before = {name: model.state[f"{name}.w"] for name in ("W1", "b1", f"W{blocks + 1}")}
    result = model.run(epochs=1)
    assert all((model.state[f"{name}.w"] != old).any() for name, old in before.items())
    model.close()
    assert np.isfinite(result.metrics["test"]["loss"])


def test_truncated_normal() -> None:
    spec = text(weight="truncated_normal(std = 0.5, at = 1.5)", delay="0")
    spec = spec.replace("unit[3]", "unit[300]")
    model = netdsl.compile(spec, backend="numpy", seed=2)
    w = np.asarray(next(v for k, v in model.state.items() if k.endswith(".w"))).reshape(-1)
    model.close()
    cut = stats.truncnorm(-1.5, 1.5)
    share = w / (0.5 / cut.std())
    assert np.abs(share).max() <= 1.5 and len(w) == 1200
    assert stats.kstest(share, cut.cdf).pvalue > 0.01
