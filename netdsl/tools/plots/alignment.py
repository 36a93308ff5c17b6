"""Updates beside the gradient: cosine and norm ratio by projection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from netdsl.runtime.errors import PlotError
from netdsl.tools.alignment import Alignment
from netdsl.tools.plots.style import colour, dash, light_grid, new_figure, whole_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MARKERS = "os^Dv<>P"
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
        _log(panels[1])
    panels[1].legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    figure.suptitle(f"Updates and the gradient of {alignment.loss}")
    return figure


def _log(axes: Axes) -> None:
    """A logarithmic axis with plain numbers, also where it spans less than a decade."""
    from matplotlib.ticker import LogLocator, NullFormatter, ScalarFormatter

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    form = ScalarFormatter()
    form.set_scientific(False)
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0) if high < 100 * low else (1.0,)))
    axes.yaxis.set_major_formatter(form)
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_ylim(min(low, 0.5), max(high, 2.0))


def _line(axes: Axes, alignment: Alignment, name: str, what: str, index: int) -> None:
    """Means at the points of training, and faint dots for single batches."""
    held = [m for m in alignment.measured if name in m.points]
    starts = alignment.starts
    means = [alignment.mean(name, what, start) for start in starts]
    style: Any = {"color": colour(index), "marker": _MARKERS[index % len(_MARKERS)]}
    values = [getattr(m.points[name], what) for m in held]
    axes.plot([m.start for m in held], values, linestyle="", alpha=0.25, markersize=3, **style)
    axes.plot(
        starts, means, label=name, linestyle=dash(index), linewidth=1.4, markersize=5, **style
    )
