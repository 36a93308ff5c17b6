"""Figures of runs. matplotlib and scikit-learn are imported only when something is drawn."""

from netdsl.runtime.plots.compare import compare_curves, compare_rows, compare_table
from netdsl.runtime.plots.curves import curves_of, learning_curves
from netdsl.runtime.plots.driver import Pictures, compare_runs, plot_run
from netdsl.runtime.plots.embedding import embed, embedding_map
from netdsl.runtime.plots.raster import raster
from netdsl.runtime.plots.weights import receptive_fields, weight_histograms

__all__ = [
    "Pictures",
    "compare_curves",
    "compare_rows",
    "compare_runs",
    "compare_table",
    "curves_of",
    "embed",
    "embedding_map",
    "learning_curves",
    "plot_run",
    "raster",
    "receptive_fields",
    "weight_histograms",
]
