"""Reading data of every format, and what is said about damaged data."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from netdsl.runtime.data import choose_split, load_source
from netdsl.runtime.errors import DataError

RNG = np.random.default_rng(3)


def idx(array: np.ndarray, code: int = 8) -> bytes:
    header = struct.pack(">BBBB", 0, 0, code, array.ndim) + struct.pack(
        f">{array.ndim}I", *array.shape
    )
    return header + array.tobytes()


def images(rows: int) -> np.ndarray:
    return RNG.integers(0, 256, (rows, 3, 4), dtype=np.uint8)


def write_idx(folder: Path, split: str, rows: int, dot: str = "-", packed: bool = False) -> None:
    for kind, array in (
        ("images", images(rows)),
        ("labels", (np.arange(rows) % 5).astype(np.uint8)),
    ):
        name = f"{split}-{kind}{dot}idx{array.ndim}-ubyte"
        content = idx(array)
        path = folder / (name + ".gz" if packed else name)
        path.write_bytes(gzip.compress(content) if packed else content)


def fault_of(path: Path, source: str = "mnist", **settings: object) -> DataError:
    with pytest.raises(DataError) as caught:
        load_source(source, str(path), Path.cwd(), settings, name="digits")
    assert caught.value.message
    return caught.value


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dot", ["-", "."])
def test_idx_folder(tmp_path: Path, packed: bool, dot: str) -> None:
    write_idx(tmp_path, "train", 10, dot, packed)
    write_idx(tmp_path, "t10k", 6, dot, packed)
    splits = load_source("mnist", tmp_path.name, tmp_path.parent)
    train = splits["train"]
    assert {name: split.rows for name, split in splits.items()} == {"train": 10, "test": 6}
    assert train.fields["image"].shape == (10, 12)
    assert train.fields["image"].dtype == np.float32
    assert 0 <= train.fields["image"].min() <= train.fields["image"].max() <= 1
    assert train.shape_hint == (3, 4)
    assert train.fields["label"].dtype == np.int64
    assert train.classes == 5


def test_one_idx_file_brings_its_labels(tmp_path: Path) -> None:
    write_idx(tmp_path, "train", 10)
    splits = load_source("mnist", str(tmp_path / "train-images-idx3-ubyte"), tmp_path)
    assert splits["train"].fields["label"].shape == (10,)


def test_idx_faults(tmp_path: Path) -> None:
    write_idx(tmp_path, "train", 10)
    file = tmp_path / "train-images-idx3-ubyte"
    good = file.read_bytes()
    for content, code in [
        (good[:-5], "E0704"),
        (good + b"x", "E0704"),
        (good[:9], "E0704"),
        (b"\x01" + good[1:], "E0703"),
        (b"", "E0703"),
        (b"\x1f\x8b" + good, "E0705"),
        (gzip.compress(good)[:-20], "E0705"),
        (good[:4] + b"\xff" * 12 + good[16:], "E0704"),
    ]:
        file.write_bytes(content)
        assert fault_of(tmp_path).code == code
    file.write_bytes(good)
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(9, np.uint8)))
    fault = fault_of(tmp_path)
    assert fault.code == "E0706"
    assert "10" in fault.message and "9" in fault.message


def test_gz_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(idx(images(2)))
    assert fault_of(tmp_path).code == "E0705"


def test_npz(tmp_path: Path) -> None:
    file = tmp_path / "set.npz"
    np.savez(file, train_image=images(4), train_label=np.arange(4), test_image=images(2),
             test_label=np.arange(2), train_weight=np.ones(4), note="text")  # fmt: skip
    splits = load_source(str(file), None, tmp_path)
    assert splits["train"].fields["weight"].dtype == np.float32
    assert splits["test"].classes == 4
    assert splits["train"].shape_hint == (3, 4)
    np.savez(file, x_train=images(4), y_train=np.arange(4)[:, None], x_val=images(2))
    splits = load_source("mine", "set.npz", tmp_path)
    assert splits["train"].fields["label"].shape == (4,)
    assert set(splits) == {"train", "dev"}
    np.savez(file, image=np.full((3, 2), 7.5), label=np.arange(3))
    assert load_source("mine", "set.npz", tmp_path)["train"].fields["image"].max() == 7.5


def test_npz_faults(tmp_path: Path) -> None:
    file = tmp_path / "set.npz"
    np.savez(file, image=np.array([{}, {}], dtype=object))
    fault = fault_of(file)
    assert fault.code == "E0709" and "objects" in fault.message
    good = np.ones((3, 2))
    good[1, 1] = np.nan
    np.savez(file, image=good)
    fault = fault_of(file)
    assert fault.code == "E0707" and "sample 1" in fault.message
    np.savez(file, image=np.ones((3, 2)), label=np.arange(2))
    assert fault_of(file).code == "E0706"
    np.savez(file, image=np.ones((3, 2)), label=np.array([0, 1.5, 2]))
    assert fault_of(file).code == "E0715"
    np.savez(file, image=np.ones((3, 2)), label=np.array([0, -1, 2]))
    assert fault_of(file).code == "E0715"
    np.savez(file, image=np.ones((3, 2)), label=np.eye(3))
    assert fault_of(file).code == "E0715"
    np.savez(file, text="only")
    assert fault_of(file).code == "E0709"
    file.write_bytes(file.read_bytes()[:-30])
    assert fault_of(file).code == "E0709"


def test_csv(tmp_path: Path) -> None:
    file = tmp_path / "iris.csv"
    file.write_text("a,label,b\n0.5,1,2\n0.25,0,-1\n")
    train = load_source("iris.csv", "iris.csv", tmp_path)["train"]
    assert train.fields["image"].tolist() == [[0.5, 2], [0.25, -1]]
    assert train.fields["label"].tolist() == [1, 0]
    scaled = load_source("iris", str(file), tmp_path, {"scale": 2})["train"]
    assert scaled.fields["image"].tolist() == [[0.25, 1], [0.125, -0.5]]
    folder = tmp_path / "both"
    folder.mkdir()
    for name in ("train", "test"):
        (folder / f"{name}.csv").write_text("label,a\n1,2\n")
    assert set(load_source("x", "both", tmp_path)) == {"train", "test"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a,label\n1,2\n3\n", "E0708"),
        ("a,label\n1,zebra\n", "E0708"),
        ("a,label\n1,\n", "E0708"),
        ("1,2\n3,4\n", "E0708"),
        ("a,label\n1,2,3\n", "E0708"),
        ("a,label\nnan,2\n", "E0707"),
        ("a,label\n", "E0711"),
    ],
)
def test_csv_faults(tmp_path: Path, text: str, code: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    assert fault_of(tmp_path / "t.csv").code == code


def test_cifar(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 256, (4, 3072), dtype=np.uint8)
    label = np.array([[3], [1], [9], [0]], np.uint8)
    for name in ("data_batch_1", "data_batch_2", "test_batch"):
        (tmp_path / f"{name}.bin").write_bytes(np.hstack([label, pixels]).tobytes())
    splits = load_source("cifar10", str(tmp_path), tmp_path)
    assert splits["train"].rows == 8
    assert splits["train"].shape_hint == (32, 32, 3)
    last = pixels.reshape(4, 3, 1024).transpose(0, 2, 1)  # channels first in the file only
    assert np.allclose(splits["test"].fields["image"], last.reshape(4, -1) / 255)
    mean, std = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]
    normal = load_source("cifar10", str(tmp_path), tmp_path, {"mean": mean, "std": std})["test"]
    expected = (last / 255 - np.array(mean)) / np.array(std)
    assert np.allclose(normal.fields["image"], expected.reshape(4, -1), atol=1e-5)
    assert fault_of(tmp_path, mean=[1, 2]).code == "E0717"
    assert fault_of(tmp_path, meen=1).code == "E0717"
    assert fault_of(tmp_path, std=0).code == "E0717"
    (tmp_path / "test_batch.bin").write_bytes(b"123")
    assert fault_of(tmp_path).code == "E0704"


def test_what_is_not_the_binary_version_of_cifar_is_told(tmp_path: Path) -> None:
    (tmp_path / "data_batch_1").write_bytes(b"\x80\x02}")
    found = fault_of(tmp_path)
    assert found.code == "E0712" and "binary version" in (found.help or "")
    file = tmp_path / "data_batch_1.bin"
    file.write_bytes(bytes(3073))
    found = fault_of(file)
    assert found.code == "E0712" and "folder" in (found.help or "")
    assert load_source("cifar10", str(tmp_path), tmp_path)["train"].rows == 1
    for content in (b"", bytes(3072), bytes(2 * 3073 + 5)):
        file.write_bytes(content)
        assert fault_of(tmp_path).code == "E0704"


def test_cifar_100(tmp_path: Path) -> None:
    record = np.concatenate([[7, 42], np.zeros(3072)]).astype(np.uint8)
    (tmp_path / "train.bin").write_bytes(record.tobytes() * 2)
    train = load_source("cifar100", str(tmp_path), tmp_path)["train"]
    assert train.fields["label"].tolist() == [42, 42]
    assert train.fields["coarse"].tolist() == [7, 7]


def test_digits() -> None:
    splits = load_source("digits", None, Path.cwd())
    train, test = splits["train"], splits["test"]
    assert (train.rows, test.rows, train.classes) == (1500, 297, 10)
    assert train.fields["image"].max() == 1
    assert train.shape_hint == (8, 8)
    for part in (choose_split(splits, "train", (0, 1300)), choose_split(splits, "test")):
        counts = np.bincount(part.fields["label"], minlength=10)
        assert counts.max() - counts.min() <= part.rows // 100
    assert load_source("digits", None, Path.cwd())["test"].fields["label"].tolist() == (
        test.fields["label"].tolist()
    )


def test_missing_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETDSL_DATA", str(tmp_path))
    assert fault_of(tmp_path / "none").code == "E0702"
    assert fault_of(tmp_path).code == "E0712"
    with pytest.raises(DataError) as caught:
        load_source("mnist", None, tmp_path, name="pictures")
    assert caught.value.code == "E0701"
    assert "--data pictures=PATH" in caught.value.help
    np.savez(tmp_path / "mnist.npz", image=np.ones((3, 2)))
    assert load_source("mnist", None, tmp_path)["train"].rows == 3


def test_slices() -> None:
    splits = load_source("digits", None, Path.cwd())
    assert choose_split(splits, "train", (1300, 1500)).rows == 200
    for name, bounds in (("train", (0, 1501)), ("train", (5, 5)), ("dev", None)):
        with pytest.raises(DataError) as caught:
            choose_split(splits, name, bounds)
        assert caught.value.code == "E0710"
    with pytest.raises(DataError) as caught:
        splits["train"].field("pixels")
    assert caught.value.code == "E0711"


@pytest.mark.parametrize("kind", ["u1", "i2", "u2", "i4", "i8", "u8", "f4", "f8", "csv"])
def test_pixels_of_any_type_are_as_bytes_or_refused(tmp_path: Path, kind: str) -> None:
    pixels = RNG.integers(0, 256, (30, 12))
    pixels[0, 0] = 255
    label = np.arange(30) % 3
    file = tmp_path / ("x.csv" if kind == "csv" else "x.npz")

    def write(values: np.ndarray) -> None:
        if kind == "csv":
            head = ",".join(["label", *(f"p{k}" for k in range(12))])
            np.savetxt(file, np.column_stack([label, values]), "%g", ",", header=head, comments="")
        else:
            np.savez(file, train_image=values.astype(kind), train_label=label)

    def image(settings: dict[str, float] | None = None) -> np.ndarray:
        return load_source(file.name, file.name, tmp_path, settings)["train"].field("image")

    write(pixels)
    expected = pixels.astype(np.float32) / np.float32(255)
    if kind[0] in "iu":
        np.testing.assert_array_equal(image(), expected)
    else:
        assert fault_of(file).code == "E0776"
    if kind != "u1":
        np.testing.assert_allclose(image({"scale": 255}), expected, rtol=1e-6)
        np.testing.assert_array_equal(image({"scale": 1}), pixels)
        write(pixels * 4)
        assert fault_of(file).code == "E0775" if kind[0] in "iu" else image().max() == 1020


def test_floats_within_their_usual_range_stay_as_they_are(tmp_path: Path) -> None:
    usual = RNG.uniform(0, 1, (5, 4)), RNG.normal(0, 60, (5, 4)), RNG.uniform(0, 100, (5, 4))
    for values in usual:
        np.savez(tmp_path / "x.npz", train_image=values, train_label=np.arange(5))
        image = load_source("x.npz", "x.npz", tmp_path)["train"].field("image")
        np.testing.assert_array_equal(image, values.astype(np.float32))
