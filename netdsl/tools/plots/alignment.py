"""Updates beside the gradient: cosine and norm ratio by projection."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netdsl.runtime.errors import PlotError
from netdsl.tools.alignment import Alignment
from netdsl.tools.plots.style import colour, dash, light_grid, new_figure, whole_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PANELS = (("cosine", "cosine of update and gradient"), ("ratio", "norm of update / gradient"))


def alignment_figure(alignment: Alignment) -> Figure:
    """Cosine and norm ratio along training, a line for each projection. Raises PlotError E0730
    where no projection has a gradient."""
    names = [name for name in alignment.projections if alignment.points(name)]
    if not names:
        raise PlotError("E0730", "no projection has a gradient to compare with")
    figure, panels = new_figure(1, 2, (8.4, 3.8))
    for axes, (what, label) in zip(panels, _PANELS, strict=True):
        for index, name in enumerate(names):
            _line(axes, alignment, name, what, index)
        axes.axhline(1.0, color="#888888", linewidth=0.8, zorder=1)
        axes.set(xlabel="batches of training", ylabel=label)
        light_grid(axes)
        whole_ticks(axes)
    panels[0].axhline(0.0, color="#888888", linewidth=0.8, zorder=1)
    panels[0].set_ylim(-1.05, 1.05)
    if any(point.ratio > 0 for name in names for point in alignment.points(name)):
        panels[1].set_yscale("log")
    panels[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    figure.suptitle(f"Updates and the gradient of {alignment.loss}")
    return figure


def _line(axes: Axes, alignment: Alignment, name: str, what: str, index: int) -> None:
    held = [m for m in alignment.measured if name in m.points]
    axes.plot(
        [m.batch for m in held],
        [getattr(m.points[name], what) for m in held],
        label=name,
        color=colour(index),
        linestyle=dash(index),
        linewidth=1.4,
        marker="o" if len(held) <= 60 else "",
        markersize=3,
    )
