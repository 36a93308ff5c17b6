"""Positive and negative rows."""

from __future__ import annotations

import numpy as np
import pytest

from netdsl.runtime.data import PairContext, make_pairs, positive_only
from netdsl.runtime.data.pairs import mix, two_partners
from netdsl.runtime.errors import DataError


def batch(rows: int, classes: int = 10) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    image = rng.random((rows, 5), dtype=np.float32)
    return {"image": image, "label": np.arange(rows) % classes}


def context(rows: int, **more: object) -> PairContext:
    settings = {"seed": 1, "path": "streams", "samples": np.arange(rows), "classes": 10, **more}
    return PairContext(**settings)  # type: ignore[arg-type]


def test_wrong_labels_are_wrong_and_uniform() -> None:
    rows = 9000
    data = {**batch(rows), "label": np.full(rows, 3)}
    made = make_pairs("wrong_label", data, context(rows))
    shown = made.fields["shown_label"]
    assert (shown[:rows] == 3).all()
    counts = np.bincount(shown[rows:], minlength=10)
    assert counts[3] == 0
    assert np.abs(np.delete(counts, 3) - 1000).max() < 120
    assert (made.fields["label"] == 3).all()
    assert (made.fields["image"][:rows] == made.fields["image"][rows:]).all()
    assert (made.fields["positive"] == np.repeat([1, 0], rows)).all()
    assert (made.members == np.repeat([0, 1], rows)).all()
    assert (made.samples == np.tile(np.arange(rows), 2)).all()


def test_wrong_labels_do_not_depend_on_the_batch_but_on_the_epoch() -> None:
    data = batch(40)
    whole = make_pairs("wrong_label", data, context(40)).fields["shown_label"][40:]
    part = {key: array[10:20] for key, array in data.items()}
    cut = make_pairs("wrong_label", part, context(10, samples=np.arange(10, 20), batch_index=1))
    assert (cut.fields["shown_label"][10:] == whole[10:20]).all()
    later = make_pairs("wrong_label", data, context(40, epoch=1)).fields["shown_label"][40:]
    assert (later != whole).any()


@pytest.mark.parametrize("position", range(7))
def test_two_partners(position: int) -> None:
    partner = two_partners(8, position)
    for row in range(8):
        others = [i for i in range(8) if i != row]
        assert partner[row] == others[position]


def test_mixed_images() -> None:
    data = batch(8)
    made = make_pairs("mixed_image", data, context(8), {"share": 0.25})
    partners = [two_partners(8, r) for r in range(7)]
    negative, shown = made.fields["image"][8:], made.fields["shown_label"][8:]
    fits = [p for p in partners if (negative == mix(data["image"], p, 0.25)).all()]
    assert len(fits) == 1
    assert (shown == data["label"][fits[0]]).all()
    assert (made.fields["label"][8:] == data["label"]).all()
    assert (made.fields["image"][:8] == data["image"]).all()
    assert negative.dtype == np.float32


def test_without_negatives() -> None:
    made = positive_only(batch(4), np.arange(4))
    assert (made.fields["positive"] == 1).all()
    assert (made.fields["shown_label"] == made.fields["label"]).all()


def test_impossible_pairs_are_refused() -> None:
    cases = [
        ("other_kind", batch(4), context(4), None),
        ("wrong_label", {"image": batch(4)["image"]}, context(4), None),
        ("wrong_label", batch(4), context(4, classes=1), None),
        ("wrong_label", batch(4), context(4), {"share": 0.5}),
        ("mixed_image", batch(4), context(4), {"share": 1.5}),
        ("mixed_image", batch(4), context(4), {"share": -0.1}),
        ("mixed_image", batch(1), context(1), None),
    ]
    for kind, data, where, settings in cases:
        with pytest.raises(DataError) as fault:
            make_pairs(kind, data, where, settings)
        assert fault.value.code == "E0713"
