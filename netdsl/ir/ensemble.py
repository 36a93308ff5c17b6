"""Ensembles: networks of one specification that run side by side over the same data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from netdsl.diagnostics.span import Span
from netdsl.ir.variables import Draw, Place, Variable

WEIGHTS, PARAMETERS = "weights", "parameters"
VARIED = (WEIGHTS, PARAMETERS)


@dataclass(frozen=True)
class Ensemble:
    """`ensemble 30 vary weights`: `vary` names what each member draws for itself at build."""

    count: int
    vary: tuple[str, ...]
    span: Span | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Member:
    """One network of an ensemble. Member 0 is the network that there is without an ensemble."""

    number: int = 0
    vary: tuple[str, ...] = ()

    def mixed(self, place: Place) -> int:
        """What build-time draws of a place mix into their streams."""
        return self.number if kind_of(place) in self.vary else 0


ALONE = Member()


def kind_of(place: Place) -> str:
    """What a draw made at build is called: of a synapse a weight, else a parameter."""
    return WEIGHTS if place is Place.SYNAPSE else PARAMETERS


def drawn_kinds(variables: Mapping[str, Variable]) -> set[str]:
    """Those of `VARIED` of which a network has something that is drawn when it is built."""
    shared = (Place.SYNAPSE, Place.NEURON, Place.GLOBAL)
    return {
        kind_of(variable.place)
        for variable in variables.values()
        if variable.place in shared and isinstance(variable.init, Draw) and _random(variable.init)
    }


def _random(draw: Draw) -> bool:
    return draw.distribution != "array" and not draw.distribution.startswith("connect:")
