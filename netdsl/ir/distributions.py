"""Distributions: their parameters, and what these must not be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Fault:
    """`bad` of the parameters named, numbers or arrays of NumPy, is where they are out of range."""

    formals: tuple[str, ...]
    bad: Callable[..., Any]
    message: str
    help: str


_ENDS = Fault(
    ("low", "high"),
    lambda low, high: low > high,
    "the lower end is above the upper one",
    "write the lower end first",
)
_STD = Fault(
    ("std",),
    lambda std: std < 0,
    "the standard deviation of `normal` is negative",
    "give its size: a standard deviation is 0 or more",
)
_PROBABILITY = Fault(
    ("p",),
    lambda p: (p < 0) | (p > 1),
    "the probability of `bernoulli` lies outside [0, 1]",
    "a rate times `dt` is a probability only up to 1: take a smaller `dt`, or say `min(1, …)`",
)
_WHOLE = Fault(
    ("low", "high"),
    lambda low, high: (low % 1 != 0) | (high % 1 != 0),
    "the ends of `integer` are not whole numbers",
    "write whole numbers; both ends can be drawn",
)
_MANY = Fault(
    ("low", "high"),
    lambda low, high: high - low >= 2.0**32,
    "`integer` draws from at most 2^32 numbers",
    "use `floor` of a `uniform` draw",
)

_MEAN = Fault(
    ("mean",),
    lambda mean: mean < 0,
    "the mean of `poisson` is negative",
    "a mean number of events is 0 or more: a rate times a duration",
)

_WAIT = Fault(
    ("mean",),
    lambda mean: mean < 0,
    "the mean of `exponential` is negative",
    "a mean waiting time is 0 or more",
)
_SPREAD = Fault(
    ("std",),
    lambda std: std < 0,
    "the standard deviation of `lognormal` is negative",
    "give its size: it is that of the logarithm",
)
_SHAPE = Fault(
    ("shape",),
    lambda shape: shape <= 0,
    "the shape of `gamma` is not above 0",
    "a mean m and a standard deviation s have the shape (m / s)^2 and the scale s^2 / m",
)
_SCALE = Fault(
    ("scale",),
    lambda scale: scale < 0,
    "the scale of `gamma` is negative",
    "a mean m and a standard deviation s have the shape (m / s)^2 and the scale s^2 / m",
)

# Parameters of the built-in distributions, which all initialisers are made of.
DISTRIBUTIONS: dict[str, tuple[str, ...]] = {
    "uniform": ("low", "high"),
    "normal": ("mean", "std"),
    "bernoulli": ("p",),
    "integer": ("low", "high"),
    "poisson": ("mean",),
    "exponential": ("mean",),
    "lognormal": ("mean", "std"),
    "gamma": ("shape", "scale"),
}
_FAULTS: dict[str, tuple[Fault, ...]] = {
    "uniform": (_ENDS,),
    "normal": (_STD,),
    "bernoulli": (_PROBABILITY,),
    "integer": (_ENDS, _WHOLE, _MANY),
    "poisson": (_MEAN,),
    "exponential": (_WAIT,),
    "lognormal": (_SPREAD,),
    "gamma": (_SHAPE, _SCALE),
}


def faults(distribution: str, known: Mapping[int, Any]) -> Iterator[tuple[Fault, Any]]:
    """Faults of a distribution whose arguments are `known` by position, and where each occurs."""
    formals = DISTRIBUTIONS.get(distribution, ())
    given = {formals[position]: value for position, value in known.items() if formals}
    for fault in _FAULTS.get(distribution, ()):
        if all(name in given for name in fault.formals):
            yield fault, fault.bad(*(given[name] for name in fault.formals))
