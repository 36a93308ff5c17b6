"""Several runs in one figure and one table: mean and spread over the seeds of each group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from netdsl.runtime.errors import PlotError
from netdsl.tools.plots.curves import Curve
from netdsl.tools.plots.style import colour, dash, light_grid, new_figure, whole_ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Band:
    """One group's curve: mean and sample standard deviation over ``runs`` runs at each ``x``."""

    x: NDArray[np.float64]
    mean: NDArray[np.float64]
    std: NDArray[np.float64]
    runs: int


@dataclass(frozen=True)
class Row:
    """One group's line in the table; ``best`` is the best mean over epochs."""

    group: str
    runs: int
    epochs: float
    last_mean: float
    last_std: float
    best: float


def band(curves: Sequence[Curve]) -> Band:
    """Average curves (x, y) at the x that all of them have; with one curve the spread is 0.

    Raises PlotError E0730 if there are no curves or they have no x in common.
    """
    if not curves:
        raise PlotError("E0730", "there are no runs to compare")
    shared = curves[0][0]
    for x, _ in curves[1:]:
        shared = np.intersect1d(shared, x)
    if not shared.size:
        raise PlotError("E0730", "the runs of one group have no epoch in common")
    values = np.stack([_at(curve, shared) for curve in curves])
    spread = values.std(axis=0, ddof=1) if len(curves) > 1 else np.zeros(shared.size)
    return Band(shared, values.mean(axis=0), spread, len(curves))


def compare_curves(
    groups: Mapping[str, Sequence[Curve]],
    metric: str,
    along: str = "epoch",
    ticks: Mapping[float, str] | None = None,
    log: bool = False,
) -> Figure:
    """Mean curve of each group with a band of one standard deviation.

    ``groups`` maps a group's name to the curves (x, y) of its runs, ``along`` says what x is, and
    ``ticks`` marks some of its values. Raises PlotError E0730.
    """
    if not groups:
        raise PlotError("E0730", "there are no runs to compare")
    figure, (axes,) = new_figure(1, 1, (6.6, 4.2))
    for index, (name, curves) in enumerate(groups.items()):
        line, tint = band(curves), colour(index)
        shown = name.replace("$", r"\$")  # which would begin a formula
        label = shown if not shown or line.runs == 1 else f"{shown} ({line.runs} runs)"
        marker = "o" if line.x.size <= 40 else ""
        axes.plot(
            line.x, line.mean, dash(index), color=tint, label=label, marker=marker, markersize=3
        )
        if line.runs > 1:
            low, high = line.mean - line.std, line.mean + line.std
            axes.fill_between(line.x, low, high, color=tint, alpha=0.18, linewidth=0)
    words = metric.replace("_", " ")
    many = any(len(curves) > 1 for curves in groups.values())
    title = f"{words}: mean and standard deviation over runs" if many else words
    axes.set(title=title, xlabel=along, ylabel=words)
    light_grid(axes)
    if log:
        axes.set_xscale("log")
    if ticks is None:
        whole_ticks(axes)
    else:
        axes.set_xticks(list(ticks), list(ticks.values()))
        axes.minorticks_off()
    if not any(groups):
        return figure
    if len(groups) > 6:
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    else:
        axes.legend()
    return figure


def compare_rows(
    groups: Mapping[str, Sequence[Curve]], smaller_is_better: bool = False
) -> list[Row]:
    """The table that goes with the figure, in the order of ``groups``."""
    rows = []
    for name, curves in groups.items():
        line = band(curves)
        best = line.mean.min() if smaller_is_better else line.mean.max()
        last = float(line.mean[-1]), float(line.std[-1])
        rows.append(Row(name, line.runs, float(line.x[-1]), *last, float(best)))
    return rows


def compare_table(rows: Sequence[Row], metric: str) -> str:
    """Rows as plain text with aligned columns, ready to print."""
    head = ["group", "runs", "epochs", f"last {metric}", "best mean"]
    body = [[r.group, str(r.runs), f"{r.epochs:g}", _spread(r), f"{r.best:.4f}"] for r in rows]
    widths = [max(len(line[i]) for line in [head, *body]) for i in range(len(head))]
    lines = [
        "  ".join(
            c.ljust(w) if i == 0 else c.rjust(w)
            for i, (c, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in [head, *body]
    ]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def _spread(row: Row) -> str:
    text = f"{row.last_mean:.4f}"
    return f"{text} ± {row.last_std:.4f}" if row.runs > 1 else text


def _at(curve: Curve, places: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values of a curve at ``places``; the last one counts where a run logged an x twice."""
    x, y = curve
    return y[np.searchsorted(x, places, side="right") - 1]
