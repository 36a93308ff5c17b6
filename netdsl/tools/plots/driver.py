"""All pictures of a run directory, or of several runs together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netdsl.runtime.archive import Arrays
from netdsl.runtime.atomic import make_folder
from netdsl.runtime.errors import PlotError
from netdsl.runtime.rundir import RunDir
from netdsl.tools.plots.compare import compare_curves, compare_rows, compare_table
from netdsl.tools.plots.curves import Curve, along_of, bands_of, curves_of, learning_curves
from netdsl.tools.plots.embedding import MAX_SAMPLES, embed, embedding_map
from netdsl.tools.plots.raster import raster
from netdsl.tools.plots.style import check_formats, save_figure
from netdsl.tools.plots.traces import traces, weights_over_time
from netdsl.tools.plots.weights import receptive_fields, weight_histograms

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Field = tuple[NDArray[Any], tuple[int, ...]]  # weights (pre, post), and the axes of pre


@dataclass
class Pictures:
    """What was drawn (``files``), and what could not be and why (``skipped``: name -> reason)."""

    files: list[Path] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


def plot_run(
    run: RunDir, out: Path | None = None, formats: Sequence[str] = ("png",), best: bool = False
) -> Pictures:
    """Draw all that a run has data for into ``out`` (default: plots/ in the run directory).

    ``best`` takes the best weights in place of the last. A picture that lacks its data is skipped
    and listed. Raises PlotError E0730 if nothing at all could be drawn, E0731 for a format.
    """
    check_formats(formats)
    folder = out or run.path / "plots"
    make_folder(folder)
    made = Pictures()
    for name, draw in _jobs(run, best).items():
        try:
            made.files += save_figure(draw(), folder, name, formats)
        except PlotError as fault:
            made.skipped[name] = fault.message
    if not made.files:
        reasons = "; ".join(made.skipped.values())
        raise PlotError("E0730", f"`{run.path}` has nothing to draw: {reasons}", "let it run on")
    return made


def compare_runs(
    groups: Mapping[str, Sequence[RunDir]],
    metric: str,
    split: str,
    out: Path,
    formats: Sequence[str] = ("png",),
) -> tuple[list[Path], str]:
    """Draw ``metric`` on ``split`` for groups of runs (seeds of one setting).

    Returns the files (``compare-<metric>.<format>`` in ``out``) and the table as text. Raises
    PlotError E0730 if a run has not logged the metric, naming those it has.
    """
    check_formats(formats)
    curves = {name: [_curve(run, metric, split) for run in runs] for name, runs in groups.items()}
    make_folder(out)
    title = f"{metric} on {split}" if split else metric
    figure = compare_curves(curves, title)
    files = save_figure(figure, out, f"compare-{_file_name(metric)}", formats)
    lower = any(word in metric for word in ("loss", "error", "nll", "mse"))
    return files, compare_table(compare_rows(curves, lower), title)


def _jobs(run: RunDir, best: bool) -> dict[str, Callable[[], Figure]]:
    """Name of each picture -> the function that draws it."""
    model, recorded = run.model(), run.recordings()
    if "members" in model:  # pictures of weights and activity are of member 0
        recorded = {key: a if key == "label" else a[0] for key, a in recorded.items()}
    jobs: dict[str, Callable[[], Figure]] = {
        "learning-curves": lambda: learning_curves(
            curves_of(run.metrics()), "", along_of(run.metrics()), bands_of(run.metrics())
        )
    }
    file = run.path / ("best.npz" if best else "weights.npz")
    state = run.weights(best) if file.exists() else {}
    weights = _weights({k: a[0] if "members" in model and a.ndim else a for k, a in state.items()})
    jobs["weights"] = lambda: weight_histograms(weights)
    for name, seen in _fields(model, weights).items():
        jobs[f"fields-{_file_name(name)}"] = lambda n=name, f=seen: receptive_fields(f[0], f[1], n)  # type: ignore[misc]
    for key, array in recorded.items():
        synapses = key.split(".")[0] in model.get("projections", {})
        if array.ndim == 3 and _is_spikes(array) and not synapses:
            jobs[f"raster-{_file_name(key)}"] = lambda k=key: _raster(recorded, k, model)  # type: ignore[misc]
    for key, array in recorded.items():
        if not _times(recorded, key)[1]:
            continue
        if key.split(".")[0] in model.get("projections", {}):
            jobs[f"over-time-{_file_name(key)}"] = lambda k=key: weights_over_time(  # type: ignore[misc]
                recorded[k], k, *_times(recorded, k)
            )
        elif array.ndim in (2, 3) and not _is_spikes(array):
            jobs[f"traces-{_file_name(key)}"] = lambda k=key: traces(  # type: ignore[misc]
                recorded[k][:, 0], k, *_times(recorded, k)
            )
    for key, codes in _codes(recorded, model).items():
        jobs[f"tsne-{_file_name(key)}"] = lambda k=key, c=codes: _map(  # type: ignore[misc]
            c, recorded.get("label"), k
        )
    return jobs


def _weights(state: Arrays) -> Arrays:
    """The weights in a state, by their projection: ``W1.w`` becomes ``W1``. Signed projections have
    ``R.mag``, without the synapses that are absent (0).
    """
    found = {}
    for key, array in state.items():
        if array.ndim > 1 and key.endswith(".w"):
            found[key.removesuffix(".w")] = array
        elif array.ndim > 1 and key.endswith(".mag"):
            found[key] = np.where(array > 0, array, np.nan)
    return found


def _fields(model: Mapping[str, Any], weights: Arrays) -> dict[str, Field]:
    """Projections from a population with two or three axes, with the sizes of these axes; shared
    kernels with those of their window, channels first. Equal weights, as of a pool, are left out.
    """
    found = {}
    for name, ends in model.get("projections", {}).items():
        population = model.get("populations", {}).get(ends.get("pre"), {})
        shape = tuple(int(n) for n in population.get("axes", {}).values())
        if name not in weights or np.ptp(weights[name]) == 0:
            continue
        if "window" in ends:
            found[name] = _kernel(weights[name], ends["window"])
        elif len(shape) in (2, 3) and len(weights[name]) == np.prod(shape):
            found[name] = (weights[name], shape)
    return found


def _kernel(weights: NDArray[Any], window: Sequence[int]) -> Field:
    """A kernel (row, column, channel; kernels) with the channel first; one channel is none."""
    rows, columns, channels = window
    shape = (rows, columns) if channels == 1 else (channels, rows, columns)
    split = weights.reshape(rows, columns, channels, -1)
    return np.moveaxis(split, 2, 0).reshape(weights.shape), shape


def _is_spikes(array: NDArray[Any]) -> bool:
    return array.dtype.kind in "bu" or bool(np.isin(array, (0, 1)).all())


def _raster(recorded: Arrays, key: str, model: Mapping[str, Any]) -> Figure:
    label = recorded.get("label")
    sample = f"sample 0, class {int(label[0])}" if label is not None and len(label) else "sample 0"
    unit = str(model.get("dt_unit", "ms"))
    return raster(recorded[key][:, 0], key, model.get("dt"), unit, sample)


def _times(recorded: Arrays, key: str) -> tuple[NDArray[Any], str]:
    """The times of a recorded variable and their unit, "" without."""
    found = (
        (recorded[f"{key}.{unit}"], unit) for unit in ("ms", "steps") if f"{key}.{unit}" in recorded
    )
    return next(found, (np.zeros(0), ""))


def _codes(recorded: Arrays, model: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
    """Codes (samples, units): what was recorded as ``P.rate``, else mean spikes over the steps."""
    codes = {key: a for key, a in recorded.items() if key.endswith(".rate") and a.ndim == 2}
    for key, array in recorded.items():
        population = key.split(".")[0]
        if population in model.get("projections", {}):
            continue
        if array.ndim == 3 and array.shape[1] > 1 and f"{population}.rate" not in codes:
            codes[key] = array.mean(axis=0, dtype=np.float64)
    return codes


def _map(codes: NDArray[Any], label: NDArray[Any] | None, key: str) -> Figure:
    if label is not None and len(label) != len(codes):
        raise PlotError("E0730", f"`{key}` has {len(codes)} samples, `label` has {len(label)}")
    codes = codes[:MAX_SAMPLES]
    shown = None if label is None else label[:MAX_SAMPLES]
    return embedding_map(embed(codes), shown, f"{key} ({len(codes)} samples)")


def _curve(run: RunDir, metric: str, split: str) -> Curve:
    curves = curves_of(run.metrics())
    if metric not in curves or split not in curves[metric]:
        have = ", ".join(f"{m} on {s}" if s else m for m, part in curves.items() for s in part)
        asked = f"{metric} on {split}" if split else metric
        raise PlotError("E0730", f"`{run.path}` has not logged {asked}", f"it has {have or 'none'}")
    return curves[metric][split]


def _file_name(key: str) -> str:
    return "".join(c if c.isalnum() or c in "-_" else "-" for c in key)
