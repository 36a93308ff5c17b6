"""Spaces: one join, whatever asks for it."""

from __future__ import annotations

from itertools import product

import pytest

from netdsl.ir.network import Place
from netdsl.ir.space import (
    OTHER,
    ROW,
    axis_of,
    edge,
    held,
    join,
    joined,
    neuron,
    per_sample,
    place_of_space,
    space,
    space_of,
)

A, B, W = neuron("a"), neuron("b"), edge("W")


def test_join_is_a_union_in_one_order() -> None:
    assert join((A,), (ROW,)) == (ROW, A)
    assert join((OTHER,), (ROW,), ()) == (ROW, OTHER)
    assert join() == ()


def test_a_neuron_is_an_end_of_an_edge() -> None:
    assert join((ROW, A), (W,), (B,)) == (ROW, W)


def test_what_no_space_has() -> None:
    with pytest.raises(ValueError, match="no space has both"):
        join((A,), (B,))
    with pytest.raises(ValueError, match="no space has both"):
        space(edge("W"), edge("V"))


@pytest.mark.parametrize("place", Place)
def test_every_place_is_a_space(place: Place) -> None:
    of = space_of(place, "x", "past")
    assert place_of_space(of) is place
    assert all(axis_of(str(axis)) == axis for axis in of)
    assert per_sample(place) is (ROW in of)


def test_slots_are_no_rows_of_the_batch() -> None:
    assert joined((Place.SLOT, Place.NEURON)) is Place.SLOT_UNIT
    assert joined((Place.ROW, Place.ROW_SLOT)) is Place.ROW_SLOT
    with pytest.raises(ValueError, match="no space has both"):
        joined((Place.ROW, Place.SLOT))


def test_places_join_in_any_order() -> None:
    two_rows = (Place.PAIR, Place.SLOT, Place.SLOT_UNIT, Place.SLOT_PAIR, Place.ROW_SLOT)
    places = [p for p in Place if p not in two_rows]
    for a, b, c in product(places, repeat=3):
        assert joined((a, b)) is joined((b, a))
        assert joined((joined((a, b)), c)) is joined((a, joined((b, c))))


def test_the_language_sums_over_rows_at_synapses() -> None:
    assert joined((Place.UNIT, Place.SYNAPSE)) is Place.ROW_SYNAPSE
    assert held((Place.UNIT, Place.SYNAPSE)) is Place.SYNAPSE
    assert held((Place.ROW, Place.NEURON)) is Place.UNIT
    assert held(()) is Place.GLOBAL


@pytest.mark.parametrize("text", ["cell", "neuron", "member:a", ""])
def test_no_axis(text: str) -> None:
    with pytest.raises(ValueError, match="is no axis"):
        axis_of(text)
