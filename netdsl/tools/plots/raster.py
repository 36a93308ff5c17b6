"""Spike rasters of recorded populations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netdsl.runtime.errors import PlotError
from netdsl.tools.plots.style import colour, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MAX_UNITS = 400


def raster(
    spikes: NDArray[Any], name: str, dt: float | None = None, unit: str = "ms", sample: str = ""
) -> Figure:
    """Raster of one presentation: ``spikes`` (steps, units), non-zero where a unit spiked.

    Below it is the population's rate. Time is in steps, or in ``unit`` with ``dt`` per step, and a
    spike of the first step lies at one step. Of many units an even selection is shown.
    Raises PlotError E0730 if ``spikes`` is empty or has other axes.
    """
    if spikes.ndim != 2 or not spikes.size:
        raise PlotError("E0730", f"`{name}` has no spikes of shape (steps, units) to draw")
    steps, units = spikes.shape
    shown = np.unique(np.linspace(0, units - 1, min(units, _MAX_UNITS)).astype(np.int64))
    when, place = np.nonzero(spikes[:, shown])
    scale = 1.0 if dt is None else dt
    figure, (top, bottom) = new_figure(2, 1, (6.4, 4.6))
    top.get_gridspec().set_height_ratios([3, 1])  # type: ignore[union-attr]
    size = float(np.clip(220.0 / len(shown), 1.0, 9.0))
    top.scatter(
        (when + 1) * scale, shown[place], s=size**2, marker="|", linewidths=0.9, color=colour(0)
    )
    heading = f"Spikes of {name}" + (f", {sample}" if sample else "")
    top.set(title=heading, ylabel="unit", ylim=(-0.5, units - 0.5))
    if len(shown) < units:
        top.set_title(f"{len(shown)} of {units} units", loc="right", fontsize=8, weight="normal")
        top.set_title(heading, loc="left")
        top.set_title("", loc="center")
    top.tick_params(labelbottom=False)
    time = (np.arange(steps) + 1) * scale
    active = (spikes != 0).mean(axis=1) * 100
    bottom.fill_between(time, active, step="mid", color=colour(0), alpha=0.35, linewidth=0)
    bottom.plot(time, active, drawstyle="steps-mid", color=colour(0), linewidth=1)
    bottom.set(xlabel="step" if dt is None else f"time ({unit})", ylabel="active (%)")
    bottom.set_ylim(bottom=0)
    for axes in (top, bottom):
        axes.set_xlim(0.4 * scale, (steps + 0.6) * scale)
    return figure
