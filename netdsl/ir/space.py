"""Spaces: what there is one number for each of, of a buffer, an expression or an operation's loops.

A space is a tuple of axes in one order, each at most once. `()` is one number. An operation's
space is what its loops run over; what it reads must embed in it. An edge has a pre and a post
neuron, so a value per neuron embeds in an edge space by naming the side (`Load.side`). A row axis
is the batch's, or has a memory as its owner: its slots, oldest first, whatever the batch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from netdsl.ir.network import Place

MEMBER, ROW_KIND, OTHER_KIND, NEURON, EDGE = "member", "row", "row'", "neuron", "edge"
_ORDER = (MEMBER, ROW_KIND, OTHER_KIND, NEURON, EDGE)
ROW_KINDS = (ROW_KIND, OTHER_KIND)


@dataclass(frozen=True)
class Axis:
    """One index: a member of an ensemble, a row, a second row, a neuron or an edge of `owner`.

    A row of an owner is a slot of that memory.
    """

    kind: str
    owner: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.owner}" if self.owner else self.kind


Space = tuple[Axis, ...]
ROW, OTHER = Axis(ROW_KIND), Axis(OTHER_KIND)
_OF_PLACE = {
    Place.GLOBAL: (),
    Place.ROW: (ROW_KIND,),
    Place.NEURON: (NEURON,),
    Place.UNIT: (ROW_KIND, NEURON),
    Place.SYNAPSE: (EDGE,),
    Place.PAIR: (ROW_KIND, OTHER_KIND),
    Place.ROW_SYNAPSE: (ROW_KIND, EDGE),
    Place.SLOT: (ROW_KIND,),
    Place.SLOT_UNIT: (ROW_KIND, NEURON),
    Place.SLOT_PAIR: (ROW_KIND, OTHER_KIND),
    Place.ROW_SLOT: (ROW_KIND, OTHER_KIND),
}
_OF_MEMORY = {
    Place.SLOT: (ROW_KIND,),
    Place.SLOT_UNIT: (ROW_KIND,),
    Place.SLOT_PAIR: (ROW_KIND, OTHER_KIND),
    Place.ROW_SLOT: (OTHER_KIND,),
}  # the axes that are slots
_PLACES = {
    tuple((kind, kind in _OF_MEMORY.get(place, ())) for kind in kinds): place
    for place, kinds in _OF_PLACE.items()
}


def neuron(population: str) -> Axis:
    """The neurons of a population."""
    return Axis(NEURON, population)


def edge(projection: str) -> Axis:
    """The synapses of a projection."""
    return Axis(EDGE, projection)


def slot(memory: str) -> Axis:
    """The slots of a memory."""
    return Axis(ROW_KIND, memory)


def other_slot(memory: str) -> Axis:
    """The slots of a memory, as second index."""
    return Axis(OTHER_KIND, memory)


def axis_of(text: str) -> Axis:
    """The axis that `str` wrote. ValueError for another text."""
    kind, _, owner = text.partition(":")
    owned = kind in (NEURON, EDGE) or (bool(owner) and kind in ROW_KINDS)
    if kind not in _ORDER or bool(owner) != owned:
        raise ValueError(f"`{text}` is no axis")
    return Axis(kind, owner)


def space(*axes: Axis) -> Space:
    """Axes in their order. ValueError where two are of one kind."""
    found = sorted(set(axes), key=lambda axis: _ORDER.index(axis.kind))
    if len({axis.kind for axis in found}) < len(found):
        raise ValueError(f"no space has both of {', '.join(map(str, found))}")
    return tuple(found)


def space_of(place: Place, owner: str = "", memory: str = "") -> Space:
    """The space of a place; `owner` is its population or projection, `memory` whose slots."""
    whose = dict.fromkeys((NEURON, EDGE), owner) | dict.fromkeys(_OF_MEMORY.get(place, ()), memory)
    return tuple(Axis(kind, whose.get(kind, "")) for kind in _OF_PLACE[place])


def per_sample(place: Place) -> bool:
    """Has it a number for each row of the batch?"""
    kinds, slots = _OF_PLACE[place], _OF_MEMORY.get(place, ())
    return ROW_KIND in kinds and ROW_KIND not in slots


def place_of_space(of: Space) -> Place:
    """The place whose space it is. KeyError where there is none."""
    return _PLACES[tuple((a.kind, a.kind in ROW_KINDS and bool(a.owner)) for a in of)]


def join(*spaces: Space) -> Space:
    """The smallest space in which all embed: the union of their axes.

    Beside an edge a neuron is one of its ends, no axis of its own. ValueError for two populations
    or two projections.
    """
    axes = {axis for each in spaces for axis in each}
    if any(axis.kind == EDGE for axis in axes):
        axes = {axis for axis in axes if axis.kind != NEURON}
    return space(*axes)


def joined(places: Iterable[Place]) -> Place:
    """The place of a value computed from values at some places, whoever their owners are; of slots
    as if all were of one memory."""
    return _joined(frozenset(places))


@cache
def _joined(places: frozenset[Place]) -> Place:
    return place_of_space(join(*(space_of(place, memory="memory") for place in places)))


def held(places: Iterable[Place]) -> Place:
    """As `joined`, for the language, where what a rule computes at a synapse is summed over rows
    before it is held."""
    place = joined(places)
    return Place.SYNAPSE if place is Place.ROW_SYNAPSE else place
