"""The test at the end of a run begins where the evaluations of the run begin."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import netdsl

TEXT = """edition 1
neuron source {{ state s = 0 }}
neuron unit {{ input i; state u = 0 keep; u := u + i }}
population a : source[3]
population b : unit[2]
data d {{ source = "digits"; batch = 4; shuffle = false }}
projection W : a -> b dense fixed delay 0 {{ weight w = 1; deliver i += w * pre.s }}
protocol train(epochs = 2) {{
  each epoch {{
    each batch of d.train {{ clamp a.s = sample.image; phase run 1 step }}
    evaluate test(d.test) as {label} {origin}
  }}
}}
protocol test(split) {{
  each batch of split {{ reset; clamp a.s = sample.image; phase see 1 step }}
}}
metric level = mean(mean(b.u))
"""


@pytest.mark.parametrize("origin", ["", "from present state"])
@pytest.mark.parametrize("backend", ["numpy", "native"])
def test_last_test(origin: str, backend: str, tmp_path: Path) -> None:
    images, labels = np.arange(12.0).reshape(4, 3), np.zeros(4, int)
    file = tmp_path / "d.npz"
    np.savez(file, train_image=images, train_label=labels, test_image=images + 1, test_label=labels)
    text = TEXT.format(origin=origin, label="during")
    found = netdsl.compile(text, backend=backend, data={"d": str(file)}).run().metrics
    sums = images.sum(1)
    once = (sums + 3).mean()
    assert found["during"]["level"] == pytest.approx(once + 2 * sums.mean() * bool(origin))
    assert found["test"] == found["during"]
