"""Pictures: what they are drawn from, that files appear, and what is said without data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from netdsl.runtime.errors import PlotError
from netdsl.runtime.members import columns
from netdsl.runtime.rundir import RunDir
from netdsl.tools.plots import (
    compare_curves,
    compare_rows,
    compare_runs,
    compare_table,
    curves_of,
    embed,
    embedding_map,
    learning_curves,
    plot_run,
    raster,
    receptive_fields,
    weight_histograms,
)
from netdsl.tools.plots.curves import bands_of
from netdsl.tools.plots.driver import _weights

RNG = np.random.default_rng(0)
PNG = b"\x89PNG"


def make_run(base: Path, shift: float = 0.0) -> RunDir:
    run = RunDir.create(base, "csdp")
    run.write_spec("edition 1\n")
    for epoch in range(4):
        run.log({"epoch": epoch, "split": "dev", "accuracy": 0.5 + epoch / 10 + shift})
        run.log({"epoch": epoch, "split": "train", "loss": 1 / (epoch + 1)})
    return run


def test_curves_of_rows() -> None:
    rows = [
        {"epoch": 1, "split": "dev", "accuracy": 0.5, "seconds": 3.0},
        {"epoch": 2, "dev.accuracy": 0.6},
        {"epoch": 1, "batch": 5, "batches": 10, "angle": 80, "note": "text"},
    ]
    curves = curves_of(rows)
    assert set(curves) == {"accuracy", "angle"}
    assert curves["accuracy"]["dev"][0].tolist() == [1, 2]
    assert curves["accuracy"]["dev"][1].tolist() == [0.5, 0.6]
    assert curves["angle"][""][0].tolist() == [1.5]


def test_learning_curves_have_labels_and_units() -> None:
    figure = learning_curves(curves_of([{"epoch": e, "split": "dev", "nll": e} for e in (1, 2, 3)]))
    (axes,) = figure.axes
    assert (axes.get_title(), axes.get_xlabel()) == ("nll", "epoch")
    assert axes.lines[0].get_xdata().tolist() == [1, 2, 3]  # type: ignore[union-attr]


def test_an_ensemble_is_its_median_on_a_band() -> None:
    rows = [
        {"epoch": e, "split": split, **columns({"nll": np.array([1.0, 2.0, 6.0]) * e, "lr": 0.1})}
        for e in (1, 2)
        for split in ("dev", "")
    ]
    curves, bands = curves_of(rows), bands_of(rows)
    assert set(curves) == {"nll", "lr"} and set(bands) == {"nll"}
    assert curves["nll"]["dev"][1].tolist() == curves["nll"][""][1].tolist() == [2, 4]
    assert [part.tolist() for part in bands["nll"]["dev"]] == [[1, 2], [1, 2], [6, 12]]
    axes = learning_curves(curves, bands=bands).axes
    assert [len(panel.collections) for panel in axes] == [2, 0]


def test_raster_places_spikes_in_time() -> None:
    spikes = np.zeros((10, 5))
    spikes[3, 2] = 1
    top, bottom = raster(spikes, "h1.s", dt=3.0).axes
    assert np.asarray(top.collections[0].get_offsets()).tolist() == [[12.0, 2.0]]
    assert bottom.get_xlabel() == "time (ms)"
    assert raster(RNG.random((5, 1000)) < 0.1, "h1.s").axes[1].get_xlabel() == "step"


def test_weight_pictures() -> None:
    weights = {"W1": RNG.normal(size=(12, 20)), "M1": np.zeros((20, 20))}
    assert len(weight_histograms(weights, {"W1": np.ones((12, 20))}).axes) == 2
    figure = receptive_fields(weights["W1"], (3, 4), "W1", limit=9)
    assert sum(len(axes.images) for axes in figure.axes[:9]) == 9
    assert receptive_fields(weights["W1"], (3, 2, 2), "W1").axes
    with pytest.raises(PlotError) as caught:
        receptive_fields(weights["W1"], (5, 5), "W1")
    assert caught.value.code == "E0730"


def test_embedding_is_reproducible_and_separates_classes() -> None:
    label = np.repeat([0, 1], 20)
    codes = RNG.normal(size=(40, 60)) + 10 * label[:, None]
    points = embed(codes, seed=1)
    assert points.shape == (40, 2)
    assert (points == embed(codes, seed=1)).all()
    centres = [points[label == c].mean(axis=0) for c in (0, 1)]
    assert np.linalg.norm(centres[0] - centres[1]) > points[label == 0].std()
    legend = embedding_map(points, label, "h1").axes[0].get_legend()
    assert legend is not None and len(legend.get_texts()) == 2
    for bad in (codes[:3], np.ones((10, 4))):
        with pytest.raises(PlotError):
            embed(bad)


def test_comparison_is_mean_and_sample_deviation() -> None:
    x = np.arange(1.0, 4.0)
    groups = {
        "a": [(x, np.array([0.1, 0.2, 0.3])), (x[:2], np.array([0.3, 0.4]))],
        "b": [(x, np.array([0.5, 0.9, 0.7]))],
    }
    rows = compare_rows(groups)
    assert rows[0].epochs == 2
    assert rows[0].last_mean == pytest.approx(0.3)
    assert rows[0].last_std == pytest.approx(np.std([0.2, 0.4], ddof=1))
    assert (rows[1].best, rows[1].last_std) == (0.9, 0.0)
    table = compare_table(rows, "accuracy")
    assert "0.3000 ± 0.1414" in table
    assert len({len(line) for line in table.splitlines()}) == 1
    assert compare_curves(groups, "accuracy").axes


def test_a_run_is_drawn_as_far_as_it_has_data(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    made = plot_run(run)
    assert [file.name for file in made.files] == ["learning-curves.png"]
    assert set(made.skipped) == {"weights"}
    axes = {"img": {"axes": {"row": 3, "col": 4}}, "h1": {"axes": {"unit": 20}}}
    run.write_model({"populations": axes, "projections": {"W1": {"pre": "img", "post": "h1"}}})
    run.save_weights({"W1.w": RNG.normal(size=(12, 20)), "h1.thr0": np.ones(20)})
    spikes = (RNG.random((10, 30, 20)) < 0.3).astype(np.uint8)
    run.save_recordings({"h1.s": spikes, "label": np.arange(30) % 3})
    made = plot_run(run, tmp_path / "out", ("png", "svg"))
    names = {file.name for file in made.files}
    kinds = ("learning-curves", "weights", "fields-W1", "raster-h1-s", "tsne-h1-s")
    assert names == {f"{kind}.{form}" for kind in kinds for form in ("png", "svg")}
    assert all(f.read_bytes().startswith(PNG) for f in made.files if f.suffix == ".png")
    assert all("<svg" in f.read_text() for f in made.files if f.suffix == ".svg")


def test_kernels_are_drawn_and_pools_are_not(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    axes = {"x": {"axes": {"row": 8, "col": 8, "ch": 2}}}
    kernel, pool = ({"pre": "x", "window": window} for window in ([3, 3, 2], [2, 2, 1]))
    run.write_model({"populations": axes, "projections": {"K": kernel, "P": pool}})
    run.save_weights({"K.w": RNG.normal(size=(18, 5)), "P.w": np.full((4, 5), 0.25)})
    names = {file.name for file in plot_run(run).files}
    assert names == {"learning-curves.png", "weights.png", "fields-K.png"}


def test_signed_weights_are_drawn_without_absent_synapses() -> None:
    state = {
        "R.mag": np.array([[0, 0.5], [2, 0]]),
        "c.w": np.array([[1.0, 0]]),
        "R.adam.m": np.ones((2, 2)),
    }
    found = _weights(state)
    assert list(found) == ["R.mag", "c"]
    assert sorted(found["R.mag"][np.isfinite(found["R.mag"])]) == [0.5, 2]
    assert np.array_equal(found["c"], [[1, 0]])
    panel = weight_histograms(found).axes[0]
    assert (
        panel.get_title().startswith("R.mag") and sum(p.get_height() for p in panel.patches) == 100
    )


def test_runs_are_compared(tmp_path: Path) -> None:
    groups = {"a": [make_run(tmp_path), make_run(tmp_path, 0.1)], "b": [make_run(tmp_path)]}
    files, table = compare_runs(groups, "accuracy", "dev", tmp_path / "out")
    assert files[0].read_bytes().startswith(PNG)
    assert "0.8500 ± 0.0707" in table
    with pytest.raises(PlotError) as caught:
        compare_runs(groups, "accuracy", "test", tmp_path / "out")
    assert "accuracy on dev" in caught.value.help


def test_without_anything_to_draw(tmp_path: Path) -> None:
    run = RunDir.create(tmp_path, "csdp")
    with pytest.raises(PlotError) as caught:
        plot_run(run)
    assert caught.value.code == "E0730"
    with pytest.raises(PlotError) as caught:
        plot_run(run, formats=("bmp",))
    assert caught.value.code == "E0731"
