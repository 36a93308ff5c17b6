"""Figures of runs. matplotlib and scikit-learn are imported only when something is drawn."""

from netdsl.tools.plots.compare import compare_curves, compare_rows, compare_table
from netdsl.tools.plots.curves import curves_of, learning_curves
from netdsl.tools.plots.driver import Pictures, compare_runs, plot_run
from netdsl.tools.plots.embedding import embed, embedding_map
from netdsl.tools.plots.raster import raster
from netdsl.tools.plots.weights import receptive_fields, weight_histograms

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
