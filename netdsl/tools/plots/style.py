"""The look that all figures share, and how they are saved.

Figures are made without pyplot: no global state, no window, nothing to close.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from netdsl.runtime.atomic import write_atomic
from netdsl.runtime.errors import PlotError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Without dates, equal data gives equal files.
_UNDATED: Any = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
FORMATS = tuple(_UNDATED)

# Okabe and Ito's colours, which people with a colour vision deficiency can tell apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999933")
DASHES = ("-", "--", ":", "-.")
_INK = "#333333"
_STYLE: Any = {
    "font.size": 9.0,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "svg.hashsalt": "netdsl",
    "svg.fonttype": "none",
    "savefig.dpi": 150,
}


def new_figure(
    rows: int = 1, columns: int = 1, size: tuple[float, float] = (6.0, 3.8)
) -> tuple[Figure, list[Axes]]:
    """A figure with a grid of axes, row by row; ``size`` is the whole figure's, in inches."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=size, layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False)
    return figure, list(grid.ravel())


def save_figure(figure: Figure, out: Path, name: str, formats: Sequence[str]) -> list[Path]:
    """Save ``figure`` as ``out``/``name``.<format> for each format; returns the files.

    Raises PlotError E0731 for an unknown format, RunDirError E0723 if a file cannot be written.
    """
    check_formats(formats)
    files = [out / f"{name}.{kind}" for kind in formats]
    for path in files:
        write_atomic(path, partial(_draw, figure, path.suffix[1:]))
    return files


def _draw(figure: Figure, kind: str, stream: IO[bytes]) -> None:
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        figure.savefig(stream, format=kind, dpi=150, metadata=_UNDATED[kind])


def check_formats(formats: Sequence[str]) -> None:
    """Raise PlotError E0731 unless every format is known."""
    for kind in formats:
        if kind not in FORMATS:
            raise PlotError(
                "E0731", f"unknown picture format `{kind}`", f"use {', '.join(FORMATS)}"
            )


def light_grid(axes: Axes) -> None:
    """Faint lines behind the data, to read values off."""
    axes.grid(True, color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)


def whole_ticks(axes: Axes) -> None:
    """Ticks of the x axis at whole numbers only, as for epochs."""
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(integer=True))


def colour(index: int) -> str:
    """The ``index``-th colour, starting again after the last."""
    return COLOURS[index % len(COLOURS)]


def dash(index: int) -> str:
    """A line style that tells apart lines which had to share a colour."""
    return DASHES[index // len(COLOURS) % len(DASHES)]
