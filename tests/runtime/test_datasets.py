"""Passes over stored samples: what the loop of batches yields, and the same as whole arrays."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import netdsl
from netdsl.ir.protocol import SplitRef

ROWS = 23
SPEC = """edition 1
neuron unit {{ input i; def y = i }}
population a : unit[6]
data pics {{ source = "pics.npz"; {settings} }}
{more}
protocol train(epochs = 1) {{
  each epoch {{ each batch of {source} {{ clamp a.i = sample.image; phase see 1 step }} }}
}}
"""


def model_of(folder: Path, settings: str, more: str = "", source: str = "pics.train"):
    rng = np.random.default_rng(4)
    file = folder / "pics.npz"
    if not file.exists():
        np.savez(
            file,
            train_image=rng.integers(0, 256, (ROWS, 2, 3)).astype(np.uint8),
            train_label=np.arange(ROWS) % 3,
            test_image=rng.integers(0, 256, (5, 2, 3)).astype(np.uint8),
            test_label=np.arange(5) % 3,
        )
    text = SPEC.format(settings=settings, more=more, source=source)
    return netdsl.compile(text, "numpy", data={"pics": file})


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "settings",
    ["batch = 4; shuffle = true", "batch = 5; partial = drop", "split train = train[3, 20]"],
)
def test_a_pass_as_a_whole_is_that_of_its_batches(
    tmp_path: Path, settings: str, training: bool
) -> None:
    datasets = model_of(tmp_path, settings).datasets
    opened = datasets.open(SplitRef("pics", "train"))
    for size, samples in ((None, None), (1, None), (6, 9)):
        how = {"training": training, "epoch": 2, "repetition": 1, "size": size, "samples": samples}
        batches = list(datasets.batches(opened, **how))
        whole = datasets.indexed(opened, **how)
        assert whole is not None
        assert len(whole) == len(batches)
        for number, batch in enumerate(batches):
            part = slice(number * whole.size, (number + 1) * whole.size)
            np.testing.assert_array_equal(whole.keys[part], batch.keys)
            np.testing.assert_array_equal(whole.samples[part], batch.samples)
            for field, values in batch.fields.items():
                rows = datasets.whole(opened, field, "float64")[whole.order[part]]
                np.testing.assert_array_equal(rows, values)


def test_whole_fields_are_made_once_and_in_the_type_of_the_run(tmp_path: Path) -> None:
    datasets = model_of(tmp_path, "mean = 0.5; std = 0.5").datasets
    opened = datasets.open(SplitRef("pics", "train"))
    image = datasets.whole(opened, "image", "float32")
    assert image is opened.split.fields["image"]  # nothing is copied
    double = datasets.whole(opened, "image", "float64")
    assert double.dtype == np.float64
    assert double is datasets.whole(opened, "image", np.float64)
    assert datasets.whole(opened, "label", "float32").dtype == np.float32


def test_what_is_drawn_anew_is_not_indexed(tmp_path: Path) -> None:
    more = "pairs two = wrong_label(pics)"
    datasets = model_of(tmp_path, "batch = 4", more, "two.train").datasets
    opened = datasets.open(SplitRef("two", "train"))
    how = {"training": True, "epoch": 0, "repetition": 0}
    assert datasets.indexed(opened, **how) is None
