"""Stored samples: passes in batches and whole, what is drawn beside them, and finite tasks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import netdsl
from netdsl.diagnostics import DiagnosticError
from netdsl.frontend import check
from netdsl.ir.protocol import SplitRef
from netdsl.runtime.supply import supply_of

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
        supply, left = supply_of(datasets, opened, first=0, **how), list(batches)
        while count := supply.alike(2):
            several, taken, left = supply.take(count), left[:count], left[count:]
            np.testing.assert_array_equal(several.keys, [batch.keys for batch in taken])
            for field in taken[0].fields:
                values = np.concatenate([batch.fields[field] for batch in taken])
                np.testing.assert_array_equal(several.values(field), values)
                for dtype in (np.float32, np.float64):
                    fed = several.fed(field, dtype)
                    assert fed.values.dtype == dtype
                    rows = fed.values[fed.index.reshape(-1)]
                    np.testing.assert_array_equal(rows, values.astype(dtype))
        assert not left


def test_what_is_drawn_anew_is_not_indexed(tmp_path: Path) -> None:
    more = "pairs two = wrong_label(pics)"
    datasets = model_of(tmp_path, "batch = 4", more, "two.train").datasets
    opened = datasets.open(SplitRef("two", "train"))
    how = {"training": True, "epoch": 0, "repetition": 0}
    assert datasets.indexed(opened, **how) is None


# ---------------------------------------------------------------- drawn beside stored samples


def test_each_stored_sample_keeps_what_is_drawn_for_it(tmp_path: Path) -> None:
    draws = "draw z[4] ~ uniform(0, 1); draw k ~ integer(0, 9); field both[4] = z + 10 * k"
    datasets = model_of(tmp_path, f"batch = 4; shuffle = true; {draws}").datasets
    train = datasets.open(SplitRef("pics", "train"))
    z = train.split.fields["z"]
    assert z.shape == (ROWS, 4) and len(np.unique(z)) == z.size
    np.testing.assert_array_equal(
        train.split.fields["both"], z + 10 * train.split.fields["k"][:, None]
    )
    for epoch in (0, 3):
        for batch in datasets.batches(train, training=True, epoch=epoch, repetition=0):
            np.testing.assert_array_equal(batch.fields["z"], z[batch.samples])
    test = datasets.open(SplitRef("pics", "test")).split.fields["z"]
    assert not np.isin(test, z).any()
    # By its place in the source, whatever is cut of it.
    cut = model_of(tmp_path, f"{draws}; split train = train[5, 9]").datasets
    np.testing.assert_array_equal(cut.open(SplitRef("pics", "train")).split.fields["z"], z[5:9])


def test_a_drawn_field_has_a_name_of_its_own(tmp_path: Path) -> None:
    with pytest.raises(DiagnosticError) as caught:
        model_of(tmp_path, "draw label ~ integer(0, 1)").run(test=False)
    assert caught.value.diagnostics[0].code == "E0719"


# ---------------------------------------------------------------- finite tasks

FINITE = """edition 1
neuron unit {{ input i; def y = i }}
population a : unit[2]
{task}
protocol train(epochs = 2) {{
  each epoch {{
    each batch of xor.train {{ clamp a.i = sample.image; phase see 1 step }}
    evaluate test(xor.test)
  }}
}}
protocol test(split) {{ each batch of split {{ clamp a.i = sample.image; phase see 1 step }} }}
metric mean_y = mean(sum(a.y@see))
"""
XOR = """task xor(size = 1000, batch = 10) {
  draw c[2] ~ bernoulli(0.5)
  draw eps[2] ~ normal(0, 0.1)
  field image[2] = (c + eps) / 255
  field label = c[0] != c[1]
  shuffle = true
  split train = [0, 900]
  split test = [900, size]
}"""


def test_a_finite_task_is_drawn_once_and_shuffled() -> None:
    held = netdsl.compile(FINITE.format(task=XOR), "numpy")
    datasets = held.datasets
    train, test = (datasets.open(SplitRef("xor", name)) for name in ("train", "test"))
    assert (train.rows, test.rows, test.offset, train.split.classes) == (900, 100, 900, 2)
    c, label = train.split.fields["c"], train.split.fields["label"]
    np.testing.assert_array_equal(label, c[:, 0] != c[:, 1])
    assert 0.4 < label.mean() < 0.6
    image = train.split.fields["image"]
    assert np.abs(image * 255 - c).std() == pytest.approx(0.06, abs=0.01)
    orders = []
    for epoch in (0, 1):
        whole = datasets.indexed(train, training=True, epoch=epoch, repetition=0)
        assert whole is not None
        orders.append(whole.order)
        for number, batch in enumerate(
            datasets.batches(train, training=True, epoch=epoch, repetition=0)
        ):
            rows = whole.order[10 * number : 10 * number + 10]
            np.testing.assert_array_equal(batch.fields["image"], image[rows])
    assert sorted(orders[0]) == sorted(orders[1]) == list(range(900))
    assert not np.array_equal(orders[0], orders[1])


def test_evaluations_of_a_finite_task_see_the_same_samples() -> None:
    held = netdsl.compile(FINITE.format(task=XOR), "numpy")
    image = held.datasets.open(SplitRef("xor", "test")).split.fields["image"]
    result = held.run()
    assert result.metrics["test"]["mean_y"] == pytest.approx(image.sum(axis=1).mean(), rel=1e-5)
    again = netdsl.compile(FINITE.format(task=XOR), "numpy", seed=held.seed + 1)
    assert again.run().metrics["test"] != result.metrics["test"]


def test_a_file_in_place_of_a_finite_task_has_its_splits(tmp_path: Path) -> None:
    file = tmp_path / "xor.npz"
    image = np.arange(8.0).reshape(4, 2)
    np.savez(file, train_image=image, test_image=image[:3] / 8)
    text = FINITE.format(task=XOR)
    result = netdsl.compile(text, "numpy", data={"xor": file}).run()
    assert result.metrics["test"]["mean_y"] == pytest.approx(image[:3].sum(axis=1).mean() / 8)
    np.savez(file, train_image=image)
    with pytest.raises(DiagnosticError) as caught:
        netdsl.compile(text, "numpy", data={"xor": file}).run()
    assert caught.value.diagnostics[0].code == "E0710"


@pytest.mark.parametrize("name", ["xor", "linear"])
def test_sets_of_the_library(name: str) -> None:
    text = FINITE.format(task=f"import std.task {{ {name} }}").replace("xor.", f"{name}.")
    datasets = netdsl.compile(text, "numpy", set={f"{name}.size": 200}).datasets
    train = datasets.open(SplitRef(name, "train"))
    assert train.rows == 180 and train.data.shuffle
    fields = train.split.fields
    if name == "linear":
        wanted = fields["image"] @ [-0.9435144, -0.4910064] > 0
    else:
        wanted = (fields["image"] > 0.5).sum(axis=1) == 1
    np.testing.assert_array_equal(fields["label"], wanted)


@pytest.mark.parametrize(
    ("task", "code"),
    [
        (XOR.replace("size = 1000, ", "").replace("size]", "1000]"), "E0116"),
        (XOR.replace("[900, size]", "[900, 1001]"), "E0202"),
        (XOR.replace("[900, size]", "[900, 900]"), "E0202"),
        (XOR.replace("[900, size]", "train[900, 1000]"), "E0104"),
        (XOR.replace("[900, size]", "[900]"), "E0104"),
        (XOR.replace("split test", "split dev"), "E0101"),
        (XOR.replace("c[1]", "c[2]"), "E0166"),
        (XOR.replace("eps[2]", "eps[3]"), "E0784"),
        (XOR.replace("draw c[2]", "draw c"), "E0165"),
        (XOR.replace("shuffle = true", "shuffle = 3"), "E0202"),
        (XOR.replace("shuffle = true", "shuffel = true"), "E0101"),
        (XOR.replace("shuffle = true", "batch = 3"), "E0102"),
        (XOR.replace("eps[2] ~", "c[2] ~"), "E0102"),
        (XOR.replace("bernoulli(0.5)", "permutation(10)"), "E0782"),
    ],
)
def test_finite_tasks_are_refused(task: str, code: str) -> None:
    found = [d for d in check(FINITE.format(task=task)).diagnostics if d.severity == "error"]
    assert code in {d.code for d in found}
    assert all("sample.label" not in d.message for d in found)


def test_an_endless_task_has_no_order() -> None:
    task = XOR.replace("  split train = [0, 900]\n  split test = [900, size]\n", "")
    text = FINITE.format(task=task).replace("xor.train", "xor").replace("xor.test", "xor")
    (found,) = [d for d in check(text).diagnostics if d.severity == "error"]
    assert found.code == "E0114"


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ("draw z[3] ~ uniform(0, 1) once", "E0001"),
        ("field z[3] ~ uniform(0, 1) once", "E0104"),
        ("field z[3] = t", "E0780"),
        ("mean = true", "E0202"),
        ("std = 0", "E0202"),
        ("std = [1, 0]", "E0202"),
        ("meen = 1", "E0101"),
        ("signal z = t", "E0831"),
        ("mean = 1; mean = 2", "E0102"),
        ("draw z ~ uniform(0, 1); field z = 2", "E0102"),
        ("draw positive ~ bernoulli(0.5)", "E0119"),
    ],
)
def test_data_are_refused(settings: str, code: str) -> None:
    text = SPEC.format(settings=settings, more="", source="pics.train")
    found = [d.code for d in check(text).diagnostics if d.severity == "error"]
    assert found[:1] == [code]


def test_per_batch_averages_batches_and_counts_the_last_as_any_other(tmp_path: Path) -> None:
    more = """metric plain = mean(mean(a.y@see))
metric averaged = mean(mean(a.y@see)) per batch
metric clocked = mean(mean(a.y@see)) per batch every 4 batches
protocol test(split) { each batch of split { clamp a.i = sample.image; phase see 1 step } }"""
    held = model_of(tmp_path, "batch = 4; eval_batch = 5; shuffle = true", more)
    image = held.datasets.open(SplitRef("pics", "train")).split.fields["image"].mean(axis=1)
    found = held.evaluate("test", "train").metrics
    assert found["plain"] == pytest.approx(image.mean(), rel=1e-5)
    means = [image[start : start + 5].mean() for start in range(0, ROWS, 5)]
    assert len(means) == 5 and ROWS % 5
    assert found["averaged"] == pytest.approx(np.mean(means), rel=1e-5)
    assert abs(found["averaged"] - found["plain"]) > 1e-4
    # In training a clocked metric is that of the batch after which it is due.
    written = held.run(out=tmp_path / "run", test=False).directory
    assert written is not None
    rows = [json.loads(line) for line in (written / "metrics.jsonl").read_text().splitlines()]
    batches = held.datasets.batches(
        held.datasets.open(SplitRef("pics", "train")), training=True, epoch=0, repetition=0
    )
    (fourth,) = [batch for batch in batches if batch.index == 3]
    assert [row["clocked"] for row in rows if "clocked" in row] == [
        pytest.approx(fourth.fields["image"].mean(), rel=1e-5)
    ]
