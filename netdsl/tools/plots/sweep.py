"""A metric over the values of a swept parameter: one line for each combination of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from netdsl.tools.plots.compare import compare_curves
from netdsl.tools.plots.curves import Curve
from netdsl.tools.sweep import Over, number_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


_WIDE = 8  # from the smallest to the largest value, on a logarithmic axis from here on
_MOST_TICKS = 12


def sweep_figure(
    over: Sequence[Over], found: Mapping[tuple[str, ...], Sequence[float]], title: str
) -> Figure:
    """`found`: the metric by the values of the parameters in order, over seeds.

    Along x goes the first parameter that has numbers for values, or else the first; lines are
    means over seeds with one standard deviation. Raises PlotError E0730 where nothing was found.
    """
    along = next((n for n, each in enumerate(over) if _numbers(each) is not None), 0)
    axis = over[along]
    numbers = _numbers(axis)
    places = numbers or [float(n) for n in range(len(axis.values))]
    at = dict(zip(axis.values, places, strict=True))
    unit = axis.values[0].partition(" ")[2] if numbers else ""
    every = -(-len(at) // _MOST_TICKS)
    ticks = {x: value.removesuffix(unit).strip() for value, x in list(at.items())[::every]}
    lines: dict[str, dict[str, Sequence[float]]] = {}
    for values, metric in found.items():
        others = [
            f"{o.path} = {v}"
            for n, (o, v) in enumerate(zip(over, values, strict=True))
            if n != along
        ]
        lines.setdefault(", ".join(others), {})[values[along]] = metric
    curves = {name: _curves(points, at) for name, points in lines.items()}
    wide = numbers is not None and min(numbers) > 0 and max(numbers) >= _WIDE * min(numbers)
    along_text = f"{axis.path} ({unit})" if unit else axis.path
    return compare_curves(curves, title, along_text, ticks, wide)


def _numbers(over: Over) -> list[float] | None:
    """The values as numbers, if all are, in one unit."""
    numbers = [number_of(value) for value in over.values]
    units = {value.partition(" ")[2] for value in over.values}
    if len(units) > 1 or any(number is None for number in numbers):
        return None
    return [number for number in numbers if number is not None]


def _curves(points: Mapping[str, Sequence[float]], at: Mapping[str, float]) -> list[Curve]:
    """A curve for each seed that all points have."""
    ordered = sorted(points, key=lambda value: at[value])
    x = np.array([at[value] for value in ordered], np.float64)
    seeds = min(len(values) for values in points.values())
    return [(x, np.array([points[v][s] for v in ordered], np.float64)) for s in range(seeds)]
