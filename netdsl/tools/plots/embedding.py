"""t-SNE maps of latent rate codes, coloured by class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from netdsl.runtime.errors import PlotError
from netdsl.tools.plots.style import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MAX_SAMPLES = 5000
_FIRST_COMPONENTS = 50
_SMALLEST = 5


def embed(codes: NDArray[Any], seed: int = 0, perplexity: float = 30.0) -> NDArray[np.float64]:
    """t-SNE of ``codes`` (samples, units) to (samples, 2), the same for the same seed.

    Codes of more than 50 units are reduced to 50 principal components first, as is customary.
    Raises PlotError E0730 with fewer than five samples or without scikit-learn.
    """
    if len(codes) < _SMALLEST:
        raise PlotError(
            "E0730",
            f"{len(codes)} samples are too few for a t-SNE map",
            "record more samples: `record P.x on test limit 500 samples`",
        )
    if codes.ndim != 2 or codes.shape[1] < 2:
        raise PlotError("E0730", "codes of one unit have no map: their values are one line")
    try:
        from sklearn.decomposition import PCA
        from sklearn.manifold import TSNE
    except ImportError:
        raise PlotError("E0730", "t-SNE needs scikit-learn", "pip install scikit-learn") from None
    data = np.asarray(codes, np.float64)
    if not data.std(axis=0).any():
        raise PlotError("E0730", "all codes are equal, so there is no map of them")
    count = min(_FIRST_COMPONENTS, *data.shape)
    if data.shape[1] > _FIRST_COMPONENTS:
        data = PCA(count, svd_solver="full").fit_transform(data)
    near = min(perplexity, (len(data) - 1) / 3)
    model = TSNE(2, perplexity=near, init="pca", random_state=seed, learning_rate="auto")
    return np.asarray(model.fit_transform(data), np.float64)


def embedding_map(points: NDArray[Any], label: NDArray[Any] | None, name: str) -> Figure:
    """Scatter of ``points`` (samples, 2), coloured by ``label`` (samples,) and with class names."""
    figure, (axes,) = new_figure(1, 1, (6.4, 5.2))
    if label is None:
        axes.scatter(points[:, 0], points[:, 1], s=10, linewidths=0, alpha=0.8)
    else:
        _classes(axes, points, np.asarray(label, np.int64))
    axes.set(title=f"t-SNE of {name}", xlabel="t-SNE 1", ylabel="t-SNE 2")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.set_aspect("equal", "datalim")
    return figure


def _classes(axes: Any, points: NDArray[Any], label: NDArray[np.int64]) -> None:
    import matplotlib as mpl

    present = np.unique(label)
    palette = mpl.colormaps["tab10" if len(present) <= 10 else "nipy_spectral"]
    spread = max(len(present) - 1, 1)
    for index, value in enumerate(present):
        tint = palette(index) if len(present) <= 10 else palette(0.05 + 0.9 * index / spread)
        part = points[label == value]
        axes.scatter(
            part[:, 0], part[:, 1], s=11, linewidths=0, alpha=0.8, color=[tint], label=str(value)
        )
    if len(present) <= 20:
        axes.legend(title="class", loc="center left", bbox_to_anchor=(1.01, 0.5), markerscale=1.8)
