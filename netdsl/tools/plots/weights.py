"""Pictures of weights: their distributions, and what each unit's afferents look like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netdsl.runtime.errors import PlotError
from netdsl.tools.plots.style import colour, light_grid, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BINS = 60
_COLUMNS = 4


def weight_histograms(
    weights: Mapping[str, NDArray[Any]], before: Mapping[str, NDArray[Any]] | None = None
) -> Figure:
    """One histogram per projection, over its synapses; ``before`` adds outlines (initial weights).

    Keys are names, values arrays of any shape. Raises PlotError E0730 without weights.
    """
    if not weights:
        raise PlotError("E0730", "the run has no weights to draw")
    columns = min(_COLUMNS, len(weights))
    rows = -(-len(weights) // columns)
    figure, panels = new_figure(rows, columns, (0.8 + 2.5 * columns, 0.5 + 2.1 * rows))
    for axes, (name, array) in zip(panels, weights.items(), strict=False):
        values = _finite(array)
        edges = _edges([values] + ([_finite(before[name])] if before and name in before else []))
        share = np.full(values.size, 100.0 / max(values.size, 1))
        axes.hist(values, bins=edges, weights=share, color=colour(0), alpha=0.8, label="now")
        if before and name in before:
            old = _finite(before[name])
            share = np.full(old.size, 100.0 / max(old.size, 1))
            axes.hist(
                old, edges, weights=share, histtype="step", color=colour(1), label="at the start"
            )
        shape = " x ".join(map(str, array.shape))
        axes.set_title(f"{name}  ({shape})")
        axes.set_xlabel("weight")
        light_grid(axes)
    for index in range(0, len(weights), columns):
        panels[index].set_ylabel("synapses (%)")
    for axes in panels[len(weights) :]:
        axes.remove()
    if before:
        panels[0].legend(fontsize=7)
    return figure


def receptive_fields(
    weights: NDArray[Any], shape: Sequence[int], name: str, limit: int = 64
) -> Figure:
    """Afferent weights of up to ``limit`` units as pictures.

    ``weights`` is (pre, post); ``shape`` are the sizes of the presynaptic axes, (row, column) or
    (channel, row, column). Units with the largest norm come first. One colour scale, symmetric
    about 0, serves all; fields of three channels are shown in colour, each scaled by itself.
    Raises PlotError E0730 if ``shape`` does not fit.
    """
    sizes = tuple(shape)
    if weights.ndim != 2 or len(sizes) not in (2, 3) or np.prod(sizes) != weights.shape[0]:
        raise PlotError(
            "E0730",
            f"weights `{name}` of shape {weights.shape} are no fields over axes {sizes}",
            "name two axes (row, col), or three with the channel first, on the input population",
        )
    order = np.argsort(-np.linalg.norm(weights, axis=0), kind="stable")[:limit]
    columns = int(np.ceil(np.sqrt(len(order))))
    rows = -(-len(order) // columns)
    figure, panels = new_figure(rows, columns, (1.2 + 0.75 * columns, 0.6 + 0.75 * rows))
    top = float(np.percentile(np.abs(weights[:, order]), 99.5)) or 1.0
    picture = None
    for axes, unit in zip(panels, order, strict=False):
        field = weights[:, unit].reshape(sizes)
        if len(sizes) == 3:
            axes.imshow(_colour_field(field), interpolation="nearest")
        else:
            picture = axes.imshow(
                field, cmap="RdBu_r", vmin=-top, vmax=top, interpolation="nearest"
            )
        axes.set_title(str(unit), fontsize=6, weight="normal", pad=1.5)
    for axes in panels:
        axes.set_axis_off()
    if picture is not None:
        bar = figure.colorbar(picture, ax=panels, shrink=0.7, aspect=30, pad=0.02, extend="both")
        bar.set_label("weight")
    figure.suptitle(f"Receptive fields {name}: {len(order)} of {weights.shape[1]} units")
    return figure


def _colour_field(field: NDArray[Any]) -> NDArray[Any]:
    """A field (channel, row, column) as an RGB picture with 0 at mid grey."""
    channels = field if len(field) == 3 else np.repeat(field.mean(axis=0)[None], 3, axis=0)
    top = float(np.abs(channels).max()) or 1.0
    return np.moveaxis(channels / top * 0.5 + 0.5, 0, -1)


def _finite(array: NDArray[Any]) -> NDArray[np.float64]:
    values = np.asarray(array, np.float64).ravel()
    return values[np.isfinite(values)]


def _edges(parts: Sequence[NDArray[np.float64]]) -> list[float]:
    joined = np.concatenate(parts) if parts else np.zeros(1)
    low, high = (float(joined.min()), float(joined.max())) if joined.size else (0.0, 0.0)
    if low == high:
        low, high = low - 0.5, high + 0.5
    return [float(edge) for edge in np.linspace(low, high, _BINS + 1)]
