"""Learning curves: one panel per metric, one line per split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netdsl.runtime.errors import PlotError
from netdsl.runtime.members import SPREAD
from netdsl.tools.plots.style import colour, dash, light_grid, new_figure, whole_ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Columns that say when or where a row was measured, or how long it took.
NOT_METRICS = (
    "epoch",
    "iteration",
    "batch",
    "step",
    "split",
    "seconds",
    "time",
    "samples",
    "seed",
    "protocol",
)
_COLUMNS = 3

Curve = tuple[NDArray[np.float64], NDArray[np.float64]]
Band = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]


def curves_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Curve]]:
    """Curves in logged rows: metric -> split -> (x, y), with x in epochs (or iterations) done.

    A row is {"epoch": e, "batch": b or absent, "split": name or absent, metric: value, ...}; a
    metric may also carry its split in its name (``dev.accuracy``). Rows with ``batch`` and
    ``batches`` are of epoch e (0-based), between e and e + 1; in others e counts epochs done. Of an
    ensemble y is the median over members.
    """
    return {
        metric: {split: (xy[:, 0], xy[:, 1]) for split, xy in splits.items()}
        for metric, splits in _points(rows, ("median",)).items()
    }


def bands_of(rows: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Band]]:
    """From the least to the most of an ensemble's members: metric -> split -> (x, least, most)."""
    return {
        metric: {split: (xy[:, 0], xy[:, 1], xy[:, 2]) for split, xy in splits.items()}
        for metric, splits in _points(rows, ("min", "max"), every=False).items()
    }


def _points(
    rows: Sequence[Mapping[str, Any]], words: tuple[str, ...], *, every: bool = True
) -> dict[str, dict[str, NDArray[np.float64]]]:
    """Metric -> split -> (points, 1 + words): where, and what the words say there of an ensemble;
    with `every` also of what is one number."""
    points: dict[str, dict[str, list[list[float]]]] = {}
    for number, row in enumerate(rows):
        x = _position(row, number)
        for key, value in row.items():
            if key in NOT_METRICS or key == "batches" or not _is_number(value) or _spread(key, row):
                continue
            if not every and f"{key}.{words[0]}" not in row:
                continue
            split, metric = str(row.get("split", "")), key
            if "." in key and not split:
                split, metric = key.split(".", 1)
            found = [float(row.get(f"{key}.{word}", value)) for word in words]
            points.setdefault(metric, {}).setdefault(split, []).append([x, *found])
    return {m: {s: _sorted(p) for s, p in splits.items()} for m, splits in points.items()}


def _spread(key: str, row: Mapping[str, Any]) -> bool:
    """Is a column the median or the spread of another?"""
    name, _, word = key.rpartition(".")
    return word in SPREAD and f"{name}.members" in row


def learning_curves(
    curves: Mapping[str, Mapping[str, Curve]],
    title: str = "",
    along: str = "epoch",
    bands: Mapping[str, Mapping[str, Band]] | None = None,
) -> Figure:
    """Draw ``curves`` (as ``curves_of`` gives them) along epochs or iterations, on the ``bands`` of
    an ensemble. Raises PlotError E0730 if there are none."""
    if not curves:
        raise PlotError("E0730", "no metrics were logged", "run at least one epoch")
    columns = min(_COLUMNS, len(curves))
    rows = -(-len(curves) // columns)
    figure, panels = new_figure(rows, columns, (1.2 + 3.6 * columns, 0.6 + 2.8 * rows))
    order = list(dict.fromkeys(split for part in curves.values() for split in part))
    for axes, (metric, splits) in zip(panels, curves.items(), strict=False):
        for split, (x, y) in splits.items():
            index = order.index(split)  # one colour per split in all panels
            style: Any = {"color": colour(index), "linestyle": dash(index), "linewidth": 1.6}
            marker = "o" if len(x) <= 40 else ""
            band = (bands or {}).get(metric, {}).get(split)
            if band is not None:
                axes.fill_between(*band, color=colour(index), alpha=0.2, linewidth=0)
            axes.plot(x, y, label=split or None, marker=marker, markersize=3, **style)
        axes.set(title=metric.replace("_", " "), xlabel=along, ylabel=metric.replace("_", " "))
        light_grid(axes)
        whole_ticks(axes)
        if any(splits):
            axes.legend()
    for axes in panels[len(curves) :]:
        axes.remove()
    if title:
        figure.suptitle(title)
    return figure


def along_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """What the rows count."""
    return "iteration" if any("iteration" in row for row in rows) else "epoch"


def _position(row: Mapping[str, Any], number: int) -> float:
    if "iteration" in row:
        return float(row["iteration"])
    if "epoch" not in row:
        return float(number + 1)
    if "batch" in row and row.get("batches"):
        return float(row["epoch"]) + float(row["batch"]) / float(row["batches"])
    return float(row["epoch"])


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _sorted(points: list[list[float]]) -> NDArray[np.float64]:
    return np.array(sorted(points, key=lambda point: point[0]), np.float64)
