"""How much a test run tries. By itself it tries what the README's command promises to be quick; `-m
"slow or varied or hypothesis" --hypothesis-profile=ci` tries the rest, and property tests in full.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

FEW, USUAL = 25, 100  # examples of a property test that does not say how many it wants
# Between them they have every operation and every layout of weights: dense, masked, listed,
# shared by windows, transposed; spikes and rates; learning at steps and at updates.
SPECS = {"csdp", "corinfomax_sparse", "ep", "pc_nudge", "convolution"}


def register() -> None:
    """Make the profiles known, and take the short one."""
    settings.register_profile("short", max_examples=FEW, deadline=None)
    settings.register_profile("ci", max_examples=USUAL, deadline=None)
    settings.load_profile("short")


def short() -> bool:
    """Is this a short run?"""
    return settings.default.max_examples <= FEW


def up_to(examples: int) -> int:
    """So many examples, or fewer in a short run. Tests without Hypothesis that ask are `varied`."""
    return min(examples, FEW) if short() else examples


def amount(few: int, full: int) -> int:
    """How many in a short run and in a full one; tests that ask are `varied`."""
    return few if short() else full


def sweep(values: Iterable[Any], short: Callable[[Any], bool]) -> list[Any]:
    """Parameters of a test of which those that are not `short` are left to the slow run."""
    slow = pytest.mark.slow
    return [value if short(value) else pytest.param(value, marks=slow) for value in values]


def specs(paths: Iterable[Path]) -> list[Any]:
    """Files of specifications: a few in a short run."""
    return sweep(paths, lambda path: path.stem in SPECS)
