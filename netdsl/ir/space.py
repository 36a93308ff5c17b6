"""Spaces: what there is one number for each of, of a buffer, an expression or an operation's loops.

A space is a tuple of axes in one order, each at most once. `()` is one number. An operation's
space is what its loops run over; what it reads must embed in it. An edge has a pre and a post
neuron, so a value per neuron embeds in an edge space by naming the side (`Load.side`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache

from netdsl.ir.network import Place

MEMBER, ROW_KIND, OTHER_KIND, NEURON, EDGE = "member", "row", "row'", "neuron", "edge"
_ORDER = (MEMBER, ROW_KIND, OTHER_KIND, NEURON, EDGE)


@dataclass(frozen=True)
class Axis:
    """One index: a member of an ensemble, a row, a second row, a neuron or an edge of `owner`."""

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
}
_PLACES = {kinds: place for place, kinds in _OF_PLACE.items()}


def neuron(population: str) -> Axis:
    """The neurons of a population."""
    return Axis(NEURON, population)


def edge(projection: str) -> Axis:
    """The synapses of a projection."""
    return Axis(EDGE, projection)


def axis_of(text: str) -> Axis:
    """The axis that `str` wrote. ValueError for another text."""
    kind, _, owner = text.partition(":")
    if kind not in _ORDER or bool(owner) != (kind in (NEURON, EDGE)):
        raise ValueError(f"`{text}` is no axis")
    return Axis(kind, owner)


def space(*axes: Axis) -> Space:
    """Axes in their order. ValueError where two are of one kind."""
    found = sorted(set(axes), key=lambda axis: _ORDER.index(axis.kind))
    if len({axis.kind for axis in found}) < len(found):
        raise ValueError(f"no space has both of {', '.join(map(str, found))}")
    return tuple(found)


def space_of(place: Place, owner: str = "") -> Space:
    """The space of a place; `owner` is its population or projection."""
    own = (NEURON, EDGE)
    return tuple(Axis(kind, owner if kind in own else "") for kind in _OF_PLACE[place])


def place_of_space(of: Space) -> Place:
    """The place whose space it is. KeyError where there is none."""
    return _PLACES[tuple(axis.kind for axis in of)]


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
    """The place of a value computed from values at some places, whoever their owners are."""
    return _joined(frozenset(places))


@cache
def _joined(places: frozenset[Place]) -> Place:
    return place_of_space(join(*(space_of(place) for place in places)))


def held(places: Iterable[Place]) -> Place:
    """As `joined`, for the language, where what a rule computes at a synapse is summed over rows
    before it is held."""
    place = joined(places)
    return Place.SYNAPSE if place is Place.ROW_SYNAPSE else place
