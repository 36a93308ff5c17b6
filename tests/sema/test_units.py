"""Units: conversion, dimensions and their inference."""

from __future__ import annotations

import pytest

from netdsl.sema.scopes.units import (
    NONE,
    STEP,
    TIME,
    Unknown,
    describe,
    parse_unit,
    product,
    resolve,
    unify,
)


@pytest.mark.parametrize(
    ("text", "number", "si"),
    [
        ("ms", 13, 0.013),
        ("s", 2, 2.0),
        ("1/ms", 0.1, 100.0),
        ("mV/ms", 3, 3.0),
        ("uV", 5, 5e-6),
        ("Hz", 4, 4.0),
        ("kHz", 4, 4000.0),
        ("min", 2, 120.0),
        ("ms^2", 4, 4e-6),
        ("nA*MOhm", 2, 2e-3),
        ("steps", 3, 3.0),
    ],
)
def test_conversion(text: str, number: float, si: float) -> None:
    unit = parse_unit(text)
    assert unit is not None
    assert unit.to_si(number) == pytest.approx(si, rel=1e-15)


def test_milliseconds_are_rounded_once() -> None:
    unit = parse_unit("ms")
    assert unit is not None and unit.to_si(3) == 3 / 1000


def test_dimensions() -> None:
    volt, ampere, ohm = (parse_unit(text) for text in ("V", "A", "Ohm"))
    assert volt and ampere and ohm
    assert volt.dimension == ampere.dimension * ohm.dimension
    assert parse_unit("step") is not None and STEP != TIME
    assert parse_unit("furlong") is None
    assert describe(TIME) == "a time"


def test_inference() -> None:
    unknown, other = Unknown(), Unknown()
    assert unify(unknown, other)
    scaled = product(unknown, TIME)
    assert unify(scaled, NONE)
    assert resolve(other) == TIME ** (-1)
    assert not unify(other, TIME)


def test_an_unknown_differs_from_itself_times_a_unit() -> None:
    unknown = Unknown()
    assert unify(product(unknown, TIME), product(unknown, TIME))
    assert not unify(product(unknown, TIME), product(unknown, STEP))
    assert product(unknown, unknown, -1) == NONE
