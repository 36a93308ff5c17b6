"""Order and batching of samples."""

from __future__ import annotations

import numpy as np
import pytest

from netdsl.runtime.data import Batches
from netdsl.runtime.errors import DataError


def test_partial_batches_are_kept_or_dropped() -> None:
    assert [len(b) for b in Batches(10, 4)] == [4, 4, 2]
    assert len(Batches(10, 4)) == 3
    dropped = Batches(10, 4, partial="drop")
    assert [len(b) for b in dropped] == [4, 4]
    assert len(dropped) == 2
    assert (np.concatenate(list(Batches(10, 4))) == np.arange(10)).all()


def test_shuffled_order_depends_on_seed_path_and_epoch_only() -> None:
    def order(batch: int = 7, **more: object) -> list[int]:
        settings = {"shuffle": True, "seed": 5, "epoch": 2, "path": "digits", **more}
        batches = Batches(100, batch, **settings)  # type: ignore[arg-type]
        return [int(i) for i in np.concatenate(list(batches))]

    assert sorted(order()) == list(range(100))
    assert order() == order(batch=32)
    for change in ({"seed": 6}, {"epoch": 3}, {"path": "other"}):
        assert order(**change) != order()


@pytest.mark.parametrize(
    ("n", "batch", "partial"), [(0, 4, "keep"), (4, 0, "keep"), (3, 4, "drop"), (3, 2, "some")]
)
def test_impossible_batches_are_refused(n: int, batch: int, partial: str) -> None:
    with pytest.raises(DataError) as fault:
        Batches(n, batch, partial=partial)
    assert fault.value.code == "E0716"
