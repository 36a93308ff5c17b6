"""Recorded variables over time: traces of units, and weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netdsl.runtime.errors import PlotError
from netdsl.tools.plots.style import colour, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST = 8  # lines


def traces(values: NDArray[Any], name: str, times: NDArray[Any], unit: str) -> Figure:
    """Traces of one presentation: ``values`` (times, units), or (times,), at ``times`` in ``unit``.

    Of many units an even selection is shown. Raises PlotError E0730 where there is nothing.
    """
    if not values.size or len(values) != len(times):
        raise PlotError("E0730", f"`{name}` has no values over time to draw")
    columns = values.reshape(len(values), -1)
    shown = _selection(columns.shape[1])
    figure, (axes,) = new_figure(1, 1, (6.4, 3.2))
    for number, unit_index in enumerate(shown):
        axes.plot(times, columns[:, unit_index], color=colour(number), linewidth=1,
                  label=f"unit {unit_index}")  # fmt: skip
    axes.set(title=f"{name}, sample 0", xlabel=_axis(unit), ylabel=name)
    if len(shown) > 1:
        axes.legend(fontsize=7, ncol=4)
    return figure


def weights_over_time(values: NDArray[Any], name: str, times: NDArray[Any], unit: str) -> Figure:
    """Some synapses over time, with the mean and the middle half of all: ``values`` (times, …).

    Raises PlotError E0730 where there is nothing.
    """
    if not values.size or len(values) != len(times):
        raise PlotError("E0730", f"`{name}` has no values over time to draw")
    columns = values.reshape(len(values), -1)
    figure, (axes,) = new_figure(1, 1, (6.4, 3.2))
    for number in _selection(columns.shape[1]):
        axes.plot(times, columns[:, number], color=colour(7), linewidth=0.6, alpha=0.6)
    low, high = np.quantile(columns, (0.25, 0.75), axis=1)
    axes.fill_between(times, low, high, color=colour(0), alpha=0.3, linewidth=0)
    axes.plot(times, columns.mean(axis=1), color=colour(0), linewidth=1.6)
    axes.set(title=f"{name}: mean and middle half", xlabel=_axis(unit), ylabel=name)
    return figure


def _selection(count: int) -> NDArray[np.int64]:
    return np.unique(np.linspace(0, count - 1, min(count, _MOST)).astype(np.int64))


def _axis(unit: str) -> str:
    return "time (ms)" if unit == "ms" else "step"
