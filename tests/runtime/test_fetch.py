"""Fetching, with OpenML replaced: no test needs a network."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import sklearn.datasets

from netdsl.runtime.data import fetch_openml_npz, load_source
from netdsl.runtime.errors import DataError


def test_fetched_data_is_found_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.arange(14 * 9).reshape(14, 9).astype(float)
    names = np.array(["cat", "dog"] * 7)
    bunch = SimpleNamespace(data=pixels, target=names)
    monkeypatch.setenv("NETDSL_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(sklearn.datasets, "fetch_openml", lambda *a, **k: bunch)
    file = fetch_openml_npz("pets")
    assert file == tmp_path / "cache" / "pets.npz"
    splits = load_source("pets", None, tmp_path)
    assert (splits["train"].rows, splits["test"].rows) == (12, 2)
    assert splits["train"].shape_hint == (3, 3)
    assert splits["train"].fields["label"][:2].tolist() == [0, 1]
    assert np.allclose(splits["train"].fields["image"], pixels[:12] / 255)


def test_faults_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*arguments: Any, **options: Any) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr(sklearn.datasets, "fetch_openml", offline)
    for name in ("mnist", "../x"):
        with pytest.raises(DataError) as caught:
            fetch_openml_npz(name)
        assert caught.value.code == "E0714"
        assert caught.value.help
