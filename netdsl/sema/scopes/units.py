"""Physical dimensions and units: everything is converted to SI as soon as it is read.

`step` is a dimension of its own, distinct from time. Dimensions of variables declared without a
unit are inferred: an `Unknown` takes the first dimension it is added to or compared with.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction

Exponent = int | Fraction
BASE = ("kg", "m", "s", "A", "mol", "step")


@dataclass(frozen=True)
class Dimension:
    """Exponents of kg, m, s, A, mol and step."""

    exponents: tuple[Exponent, ...] = (0,) * len(BASE)

    def __mul__(self, other: Dimension) -> Dimension:
        pairs = zip(self.exponents, other.exponents, strict=True)
        return Dimension(tuple(a + b for a, b in pairs))

    def __truediv__(self, other: Dimension) -> Dimension:
        return self * other ** (-1)

    def __pow__(self, power: Exponent) -> Dimension:
        return Dimension(tuple(_whole(a * power) for a in self.exponents))

    def __str__(self) -> str:
        if self in _NAMES:
            return _NAMES[self]
        for name in ("V", "A", "S", "F", "C", "J", "W"):  # rather than in base units
            for power in (1, 2, 3, -1, -2):
                for seconds in (0, 1, -1, 2, -2):
                    if self == _UNITS[name][1] ** power * TIME**seconds:
                        return _text([(name, power), ("s", seconds)])
        return _text(list(zip(BASE, self.exponents, strict=True)))


def _text(powers: list[tuple[str, Exponent]]) -> str:
    """A product of powers as text."""
    parts = [name if power == 1 else f"{name}^{power}" for name, power in powers if power]
    return "*".join(parts)


def _whole(power: Exponent) -> Exponent:
    return int(power) if power == int(power) else power


def _dimension(**powers: int) -> Dimension:
    return Dimension(tuple(powers.get(name, 0) for name in BASE))


NONE = Dimension()
TIME = _dimension(s=1)
STEP = _dimension(step=1)
_VOLT = _dimension(kg=1, m=2, s=-3, A=-1)
_CURRENT = _dimension(A=1)
_SIEMENS = _CURRENT / _VOLT

_UNITS: dict[str, tuple[float, Dimension]] = {
    "s": (1.0, TIME),
    "V": (1.0, _VOLT),
    "A": (1.0, _CURRENT),
    "S": (1.0, _SIEMENS),
    "Hz": (1.0, TIME ** (-1)),
    "Ohm": (1.0, _VOLT / _CURRENT),
    "F": (1.0, _SIEMENS * TIME),
    "C": (1.0, _CURRENT * TIME),
    "m": (1.0, _dimension(m=1)),
    "M": (1000.0, _dimension(mol=1, m=-3)),
    "mol": (1.0, _dimension(mol=1)),
    "J": (1.0, _dimension(kg=1, m=2, s=-2)),
    "W": (1.0, _dimension(kg=1, m=2, s=-3)),
    "min": (60.0, TIME),
    "h": (3600.0, TIME),
    "step": (1.0, STEP),
}
_COUNTED = frozenset({"batch", "sample", "epoch", "update", "trial", "iteration"})
_PREFIXES = {"m": 1e3, "u": 1e6, "n": 1e9, "p": 1e12, "k": 1e-3, "M": 1e-6}  # divisors
_NAMES = {
    NONE: "no unit",
    TIME: "a time",
    STEP: "steps",
    _VOLT: "V",
    _CURRENT: "A",
    _SIEMENS: "S",
    TIME ** (-1): "1/s",
    _VOLT / TIME: "V/s",
    _VOLT / _CURRENT: "Ohm",
    _dimension(s=1, step=-1): "a time per step",
}
_LARGEST_POWER = 9
_FACTOR = re.compile(r"([*/]?)([A-Za-z]+)(\^-?\d+)?")


@dataclass(frozen=True)
class Unit:
    """How to turn a number into SI: divide where the divisor is exact, else multiply."""

    factor: float
    divisor: float
    dimension: Dimension

    def to_si(self, number: float) -> float:
        """The number in SI units; `13 ms` is 13 / 1000, rounded once."""
        return number * self.factor / self.divisor


def parse_unit(text: str) -> Unit | None:
    """The unit that a text such as `ms`, `1/ms` or `mV*ms^2` names; None when there is none."""
    inverse, rest = (True, text[2:]) if text.startswith("1/") else (False, text)
    factor, divisor, dimension = 1.0, 1.0, NONE
    place = 0
    while place < len(rest):
        match = _FACTOR.match(rest, place)
        if match is None:
            return None
        place = match.end()
        word = _word(match[2])
        if word is None:
            return None
        power = int(match[3][1:]) if match[3] else 1
        if abs(power) > _LARGEST_POWER:
            return None
        if match[1] == "/" or (inverse and match.start() == 0):
            power = -power
        up, down = (word.factor, word.divisor) if power > 0 else (word.divisor, word.factor)
        factor *= up ** abs(power)
        divisor *= down ** abs(power)
        dimension = dimension * word.dimension**power
    known = math.isfinite(factor) and math.isfinite(divisor) and factor > 0 and divisor > 0
    return Unit(factor, divisor, dimension) if known else None


def _word(word: str) -> Unit | None:
    if word in _UNITS:
        return Unit(_UNITS[word][0], 1.0, _UNITS[word][1])
    for plural in ("es", "s"):
        short = word.removesuffix(plural)
        if short == "step":
            return Unit(1.0, 1.0, STEP)
        if short in _COUNTED:
            return Unit(1.0, 1.0, NONE)
    if word in _COUNTED:
        return Unit(1.0, 1.0, NONE)
    prefix, base = word[:1], word[1:]
    if prefix in _PREFIXES and base in _UNITS and base not in ("min", "h", "step"):
        divisor = _PREFIXES[prefix]
        scale, dimension = _UNITS[base]
        return (
            Unit(scale, divisor, dimension)
            if divisor > 1
            else Unit(scale / divisor, 1.0, dimension)
        )
    return None


class Unknown:
    """The dimension of something declared without a unit, until its use tells."""

    def __init__(self) -> None:
        self.link: Dim = None


@dataclass(frozen=True)
class Scaled:
    """An unknown dimension times a known one."""

    unknown: Unknown
    factor: Dimension


Dim = Dimension | Unknown | Scaled | None  # None: not tracked (two unknowns multiplied, an error)


def resolve(dim: Dim) -> Dimension | Scaled | None:
    """The dimension as far as it is known."""
    if isinstance(dim, Unknown):
        return Scaled(dim, NONE) if dim.link is None else resolve(dim.link)
    if isinstance(dim, Scaled):
        base = resolve(dim.unknown)
        if isinstance(base, Scaled):
            return Scaled(base.unknown, base.factor * dim.factor)
        return base * dim.factor if base is not None else None
    return dim


_made: list[Unknown] | None = None  # what was inferred within `undone`


@contextmanager
def undone() -> Iterator[None]:
    """Forget at the end what is inferred inside."""
    global _made
    outer, _made = _made, []
    try:
        yield
    finally:
        for unknown in _made:
            unknown.link = None
        _made = outer


def _infer(unknown: Unknown, dim: Dim) -> bool:
    unknown.link = dim
    if _made is not None:
        _made.append(unknown)
    return True


def unify(a: Dim, b: Dim) -> bool:
    """Make two dimensions equal; False when they differ."""
    one, two = resolve(a), resolve(b)
    if one is None or two is None:
        return True
    if isinstance(one, Scaled) and isinstance(two, Scaled):
        if one.unknown is two.unknown:
            return one.factor == two.factor
        return _infer(one.unknown, Scaled(two.unknown, two.factor / one.factor))
    if isinstance(one, Scaled):
        one, two = two, one
    if isinstance(two, Scaled) and isinstance(one, Dimension):
        return _infer(two.unknown, one / two.factor)
    return one == two


def product(a: Dim, b: Dim, power: int = 1) -> Dim:
    """Dimension of a * b^power, where power is 1 or -1."""
    one, two = resolve(a), resolve(b)
    if isinstance(one, Dimension) and isinstance(two, Dimension):
        return one * two**power
    if isinstance(one, Scaled) and isinstance(two, Dimension):
        return Scaled(one.unknown, one.factor * two**power)
    if isinstance(one, Dimension) and isinstance(two, Scaled) and power == 1:
        return Scaled(two.unknown, one * two.factor)
    same = isinstance(one, Scaled) and isinstance(two, Scaled) and one.unknown is two.unknown
    if same and power == -1 and isinstance(one, Scaled) and isinstance(two, Scaled):
        return one.factor / two.factor
    return None


def describe(dim: Dim) -> str:
    """A dimension for a message."""
    found = resolve(dim)
    if isinstance(found, Scaled) and found.factor != NONE:
        return f"an unknown unit times {found.factor}"
    return str(found) if isinstance(found, Dimension) else "an unknown unit"


def display(dim: Dim) -> str:
    """A dimension for `Variable.unit`; empty without one."""
    found = resolve(dim)
    if not isinstance(found, Dimension) or found == NONE:
        return ""
    return {TIME: "s", STEP: "step"}.get(found, str(found))
