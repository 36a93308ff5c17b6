"""Images that are cropped and flipped anew whenever they are presented in training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import netdsl
from netdsl.diagnostics import DiagnosticError
from netdsl.frontend import check
from netdsl.ir.protocol import SplitRef
from netdsl.streams.draws import PhiloxStream, row_key

ROWS, SIDE, CHANNELS = 9, 32, 3
MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]
SPEC = """edition 1
neuron pixel {{ state z = 0 }}
population x : pixel[{axes}]
data pics {{ source = "pics"; batch = 4; mean = {mean}; std = {std}; shuffle = true
  augment train = {augment} }}
protocol train(epochs = 2) {{
  each epoch {{ each batch of pics.train {{ clamp x.z = sample.image; phase see 1 step }} }}
}}
protocol test(split) {{ each batch of split {{ clamp x.z = sample.image; phase see 1 step }} }}
metric bright = mean(mean(x.z@see))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CIFAR-10's binary files, of a few made pictures."""
    made, rng = tmp_path_factory.mktemp("cifar"), np.random.default_rng(7)
    for name in ("data_batch_1", "test_batch"):
        records = rng.integers(0, 256, (ROWS, 1 + CHANNELS * SIDE * SIDE), dtype=np.uint8)
        records[:, 0] %= 10
        (made / f"{name}.bin").write_bytes(records.tobytes())
    return made


def model(
    folder: Path,
    augment: str = "crop(pad = 1, shared = true) + flip",
    axes: str = "row: 32, col: 32, ch: 3",
    mean: object = MEAN,
    std: object = STD,
) -> netdsl.Model:
    text = SPEC.format(axes=axes, augment=augment, mean=mean, std=std)
    return netdsl.compile(text, "numpy", rows=4, data={"pics": folder})


def pictures(folder: Path) -> np.ndarray:
    raw = np.frombuffer((folder / "data_batch_1.bin").read_bytes(), np.uint8)
    planes = raw.reshape(ROWS, -1)[:, 1:].reshape(ROWS, CHANNELS, SIDE, SIDE)
    return (planes.transpose(0, 2, 3, 1) / 255 - MEAN) / STD


def drawn(kind: str, bound: int, keys: np.ndarray, count: int, seed: int) -> np.ndarray:
    return PhiloxStream(seed, f"pics.augment.{kind}").randint(bound, np.atleast_1d(keys), 0, count)


def expected(
    image: np.ndarray, corner: np.ndarray, flip: bool, pad: int = 1, fill: object = 0.0
) -> np.ndarray:
    padded = np.empty((SIDE + 2 * pad, SIDE + 2 * pad, CHANNELS))
    padded[...] = fill
    padded[pad : pad + SIDE, pad : pad + SIDE] = image
    cut = padded[corner[0] : corner[0] + SIDE, corner[1] : corner[1] + SIDE]
    return cut[:, ::-1] if flip else cut


def test_a_crop_is_shared_by_a_batch_and_each_image_flips_by_itself(folder: Path) -> None:
    held = model(folder)
    images, seen = pictures(folder), set()
    opened = held.datasets.open(SplitRef("pics", "train"))
    for epoch in (0, 1):
        how = {"training": True, "epoch": epoch, "repetition": 0}
        assert held.datasets.indexed(opened, **how) is None
        for batch in held.datasets.batches(opened, **how):
            (corner,) = drawn("crop", 3, row_key(0, epoch, batch.index), 2, held.seed)
            flips = drawn("flip", 2, row_key(0, epoch, batch.samples), 1, held.seed)[:, 0]
            seen.update(flips)
            for sample, flip, image in zip(
                batch.samples, flips, batch.fields["image"], strict=True
            ):
                wanted = expected(images[sample], corner, bool(flip))
                np.testing.assert_allclose(image.reshape(wanted.shape), wanted, atol=1e-5)
    assert seen == {0, 1}


def test_own_crops_with_a_margin_of_another_value(folder: Path) -> None:
    held = model(folder, "flip + crop(pad = 3, fill = [-1, 0, 2])")
    opened, images = held.datasets.open(SplitRef("pics", "train")), pictures(folder)
    (batch, *_) = held.datasets.batches(opened, training=True, epoch=0, repetition=0)
    keys = row_key(0, 0, batch.samples)
    corners = drawn("crop", 7, keys, 2, held.seed)
    flips = drawn("flip", 2, keys, 1, held.seed)[:, 0]
    assert len({tuple(corner) for corner in corners}) > 1
    for row, (sample, corner, flip) in enumerate(zip(batch.samples, corners, flips, strict=True)):
        image = images[sample][:, ::-1] if flip else images[sample]
        wanted = expected(image, corner, False, 3, [-1, 0, 2])
        np.testing.assert_allclose(batch.fields["image"][row], wanted.reshape(-1), atol=1e-5)


def test_draws_do_not_depend_on_the_size_of_batches(folder: Path) -> None:
    datasets = model(folder, "crop(pad = 2) + flip").datasets
    opened = datasets.open(SplitRef("pics", "train"))
    how = {"training": True, "epoch": 1, "repetition": 0}
    sizes = [datasets.batches(opened, size=size, **how) for size in (1, 4)]
    one, four = (np.concatenate([b.fields["image"] for b in batches]) for batches in sizes)
    np.testing.assert_array_equal(one, four)


def test_evaluations_and_other_splits_see_the_images_as_they_are(folder: Path) -> None:
    datasets = model(folder).datasets
    for split in ("train", "test"):
        opened = datasets.open(SplitRef("pics", split))
        how = {"training": False, "epoch": 0, "repetition": 0}
        for batch in datasets.batches(opened, **how):
            rows = batch.samples - opened.offset
            np.testing.assert_array_equal(batch.fields["image"], opened.split.fields["image"][rows])
        assert datasets.indexed(opened, **how) is not None


def test_a_stored_sample_is_done_anew_in_every_window(folder: Path) -> None:
    held = model(folder)
    opened, images = held.datasets.open(SplitRef("pics", "train")), pictures(folder)
    for index in (2, 3):
        samples, ages = np.arange(index - 2, index + 1), np.array([2, 1, 0])
        how = {"training": True, "epoch": 0, "index": index, "repetition": 0}
        window = held.datasets.take(opened, samples, ages=ages, **how)["image"]
        (corner,) = drawn("crop", 3, row_key(0, 0, index), 2, held.seed)
        flips = drawn("flip", 2, row_key(0, 0, samples, ages), 1, held.seed)[:, 0]
        for image, sample, flip in zip(window, samples, flips, strict=True):
            wanted = expected(images[sample], corner, bool(flip))
            np.testing.assert_allclose(image.reshape(wanted.shape), wanted, atol=1e-5)
        newest = held.datasets.take(opened, samples[-1:], **how)["image"]
        np.testing.assert_array_equal(newest[0], window[-1])


def test_a_run_repeats_and_goes_on(folder: Path) -> None:
    first, second = model(folder), model(folder)
    first.run(test=False)
    second.run(test=False)
    np.testing.assert_array_equal(first.state["x.z"], second.state["x.z"])
    plain = first.evaluate("test", "train").metrics["bright"]
    assert plain == pytest.approx(pictures(folder).mean(), abs=1e-5)


@pytest.mark.parametrize(
    ("fields", "code", "part"),
    [
        ({"image": (ROWS, 12)}, "E0718", "store images as"),
        ({"image": (ROWS, 3, 32, 32)}, "E0718", "channels"),
        ({"wave": (ROWS, 12)}, "E0718", "have no `image`"),
    ],
)
def test_what_has_no_rows_and_columns_is_refused(
    tmp_path: Path, fields: dict[str, tuple[int, ...]], code: str, part: str
) -> None:
    arrays = {f"train_{name}": np.zeros(shape, np.uint8) for name, shape in fields.items()}
    np.savez(tmp_path / "x.npz", **arrays)
    held = model(tmp_path / "x.npz", axes="12", mean=0, std=1)
    with pytest.raises(DiagnosticError) as caught:
        held.run(test=False)
    (found,) = caught.value.diagnostics
    assert found.code == code and found.primary.line == 4
    assert part in found.message + (found.help or "")


def test_rows_that_are_read_step_by_step_are_not_augmented(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", train_image=np.zeros((ROWS, 4, 6), np.uint8))
    text = SPEC.format(axes=6, augment="flip", mean=0, std=1)
    held = netdsl.compile(
        text.replace("sample.image", "sample.image@step"), "numpy", data={"pics": tmp_path}
    )
    with pytest.raises(DiagnosticError) as caught:
        held.run(test=False)
    assert caught.value.diagnostics[0].code == "E0718"


def test_one_value_of_the_margin_for_each_channel(folder: Path) -> None:
    with pytest.raises(DiagnosticError) as caught:
        model(folder, "crop(pad = 1, fill = [1, 2])").run(test=False)
    assert caught.value.diagnostics[0].code == "E0718"


def test_axes_in_another_order_are_refused(folder: Path) -> None:
    for axes in ("ch: 3, row: 32, col: 32", "row: 32, ch: 3, col: 32"):
        with pytest.raises(DiagnosticError) as caught:
            model(folder, "flip", axes).run(test=False)
        assert caught.value.diagnostics[0].code == "E0745"
    model(folder, "flip", "3072").run(test=False)


@pytest.mark.parametrize(
    ("augment", "code"),
    [
        ("crop", "E0110"),
        ("crop(pad = 0)", "E0204"),
        ("crop(pad = 1.5)", "E0207"),
        ("crop(pad = 1, pad = 2)", "E0110"),
        ("crop(pad = 1, shared = 2)", "E0202"),
        ("crop(size = 1)", "E0110"),
        ("crop(2)", "E0110"),
        ("flip(2)", "E0110"),
        ("flip + flip", "E0102"),
        ("turn", "E0101"),
        ("flip * 2", "E0104"),
        ("flip; augment train = flip", "E0102"),
        ("flip; augment rain = flip", "E0101"),
    ],
)
def test_refused_when_it_is_checked(augment: str, code: str) -> None:
    text = SPEC.format(axes=12, augment=augment, mean=0, std=1)
    found = [d for d in check(text).diagnostics if d.severity == "error"]
    assert [d.code for d in found] == [code]


WINDOWS = """edition 1
neuron pixel {{ state z = 0 }}
population x : pixel[3072]
data pics {{ source = "pics"; shuffle = true; augment train = crop(pad = 1, shared = true) + flip }}
memory past : replay[3] of pics
protocol train(epochs = 2) {{
  each epoch {{
    reset memory past
    each sample of pics.train limit {limit} {{
      push past
      when past.full {{ clamp x.z = sample.image; phase see 1 step }}
    }}
  }}
}}
"""


def test_what_a_memory_holds_is_done_anew_at_every_push(folder: Path, tmp_path: Path) -> None:
    for limit in (4, 5):
        held = netdsl.compile(WINDOWS.format(limit=limit), "numpy", data={"pics": folder})
        held.run(test=False)
        opened, samples = held.datasets.open(SplitRef("pics", "train")), None
        batches = held.datasets.batches(opened, training=True, epoch=1, repetition=0, size=1)
        order = [batch.samples[0] for batch in batches]
        samples = np.array(order[limit - 3 : limit])
        how = {"training": True, "epoch": 1, "index": limit - 1, "repetition": 0}
        window = held.datasets.take(opened, samples, ages=np.array([2, 1, 0]), **how)["image"]
        np.testing.assert_array_equal(held.state["x.z"], window)
