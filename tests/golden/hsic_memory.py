"""Golden files of the HSIC rule with a memory of samples. Sheet hsic.md sections 2, 3 and 9.

A window of samples is loaded as a batch whose last row is the newest one.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from netdsl.tools.replay import Presentation, Trace
from tests.golden import hsic
from tests.golden.case import SPECS, Array, Case, Derived

STEPWISE = 1e-8  # of the step's largest element, for raw gradients of the leaky network …
LEAST = 1e-6  # … and 1e-14 more


def rates(file: hsic.File, hyper: dict[str, Any], relative: float) -> Case:
    """Dense layers without time."""
    settings = {"set": "images", "rows": hyper["din"], "cols": 1} | hsic.layers(hyper)
    return _static(file, hyper, "hsic.net", settings, relative)


def maps(file: hsic.File, hyper: dict[str, Any], relative: float) -> Case:
    """Convolutions, with pooling behind each."""
    hsic.check_kernels(hyper)
    rows, columns, channels = hyper["input_shape"]
    settings = {"rows": rows, "cols": columns, "ch": channels, "blocks": len(hyper["features"])}
    return _static(file, hyper, "hsic_cnn.net", settings, relative)


def leaky(file: hsic.File, hyper: dict[str, Any], relative: float) -> Case:
    """Leaky integrators, which learn at every step that a window is held for."""
    steps = int(hyper["timesteps_per_window"])
    settings = {"inputs": hyper["din"], "members": 1, "T": steps, "tau": hsic.steps(hyper)}
    settings |= hsic.layers(hyper) | _settings(hyper, SPECS / "hsic_lif.net")
    windows = np.asarray(file["windows"], np.int64)
    trace = Trace(
        hsic.init(file),
        tuple(_held(file, hyper, chosen, k, steps) for k, chosen in enumerate(windows)),
    )
    tolerances = hsic.tolerances(trace, relative)
    layers = range(hsic.count(file))
    gradients = {f"show/{n}{i + 1}.dw": file[f"d{n}{i}"] for i in layers for n in ("W", "b")}
    tolerances |= dict.fromkeys((*gradients, *_signals(file, "show")), np.inf)
    share = STEPWISE if relative < hsic.FLOAT64 else 1e-3
    derived = [hsic.loss(file, windows, "show/out.z", relative, steps)]
    derived += [_stepwise(key, -value, steps, share) for key, value in gradients.items()]
    derived += _newest(file, "show", steps, relative)
    keep = tuple({key: None for entry in derived for key in entry.keys})
    return Case(
        SPECS / "hsic_lif.net",
        settings,
        trace,
        tolerances,
        tuple(derived),
        keep,
        shares=hsic.shares(trace, relative),
    )


def _settings(hyper: Mapping[str, Any], spec: Path) -> dict[str, Any]:
    found = hsic.sizes(hyper, 1, 3) | hsic.adamw_settings(hyper) | hsic.kernel_settings(hyper)
    return found | {"N": hyper["memory_B"]} | hsic.ridge_settings(hyper, spec)


def _static(
    file: hsic.File, hyper: dict[str, Any], spec: str, settings: dict[str, Any], relative: float
) -> Case:
    """One update for each window."""
    windows = np.asarray(file["windows"], np.int64)
    updates = (_update(file, hyper, chosen, k) for k, chosen in enumerate(windows))
    trace = Trace(hsic.init(file), tuple(updates))
    tolerances = hsic.tolerances(trace, relative) | dict.fromkeys(_signals(file, ""), np.inf)
    derived = (hsic.loss(file, windows, "out.z", relative), *_newest(file, "", 0, relative))
    keep = tuple({key: None for entry in derived for key in entry.keys})
    return Case(
        SPECS / spec,
        settings | _settings(hyper, SPECS / spec),
        trace,
        tolerances,
        derived,
        keep,
        shares=hsic.shares(trace, relative),
    )


def _update(file: hsic.File, hyper: Mapping[str, Any], chosen: Array, k: int) -> Presentation:
    seen = hsic.in_step(file, k) | _signs(file, k, len(chosen))
    return hsic.learned(file, chosen, k, expect=seen | {"w.w": _weights(file, hyper, k)[None]})


# ---- signals -------------------------------------------------------------------------------------


def _weights(file: hsic.File, hyper: Mapping[str, Any], window: int) -> Array:
    """How far each sample of a window is from the others, by its input and by its label."""
    x, y = (1 - np.asarray(file[k], np.float64)[window].mean(-1) for k in ("kx", "ky"))
    return np.asarray(x - hyper["gamma"] * y)


def _hidden(file: hsic.File) -> list[tuple[int, str]]:
    return list(enumerate(hsic.names(hsic.count(file))))[:-1]


def _signals(file: hsic.File, phase: str) -> list[str]:
    """Keys of the signals of hidden layers, which are recorded for the newest sample alone."""
    return [f"{phase}/xi.{name}".removeprefix("/") for _, name in _hidden(file)]


def _signs(file: hsic.File, k: int, count: int) -> dict[str, Array]:
    """Room for the signals of one step, (1, rows, units)."""
    return {
        f"xi.{name}": np.zeros((1, count, np.asarray(file[f"xi{i}"][k]).size))
        for i, name in _hidden(file)
    }


def _newest(file: hsic.File, phase: str, steps: int, relative: float) -> list[Derived]:
    """The signals of the newest sample, the last row."""
    found = []
    for i, name in _hidden(file):
        key = f"{phase}/xi.{name}".removeprefix("/")
        recorded = hsic.rows(file[f"xi{i}"])
        if steps:
            recorded = recorded.reshape(-1, steps, recorded.shape[-1])
        share = hsic.SHARES[relative < hsic.FLOAT64][1]
        found.append(_scaled(f"{key} of the newest", key, recorded, share, lambda a: a[..., -1, :]))
    return found


def _scaled(name: str, key: str, recorded: Array, share: float, part: Any) -> Derived:
    """`part` of a kept array against what is recorded, as shares of the largest element there."""
    axes = -1
    tops = np.abs(recorded).max(axes, keepdims=True)
    scales = iter(np.where(tops > 0, tops, 1.0))
    expected = tuple(recorded / np.where(tops > 0, tops, 1.0))

    def compute(value: Array) -> Array:
        scale = next(scales)
        found = np.asarray(part(np.asarray(value, np.float64)))
        return np.asarray(found.reshape(*scale.shape[:-1], -1) / scale)

    return Derived(name, (key,), compute, expected, share)


def _stepwise(key: str, recorded: Array, steps: int, share: float) -> Derived:
    """Raw gradients, as shares of the largest element of their step."""
    whole = np.asarray(recorded, np.float64).reshape(-1, steps, *recorded.shape[1:])
    flat = whole.reshape(*whole.shape[:2], -1)
    scales = iter(np.abs(flat).max(-1, keepdims=True) + LEAST)
    expected = tuple(flat / (np.abs(flat).max(-1, keepdims=True) + LEAST))

    def compute(value: Array) -> Array:
        value = np.asarray(value, np.float64)
        return np.asarray(value.reshape(len(value), -1) / next(scales))

    return Derived(f"{key} of its step", (key,), compute, expected, share)


# ---- leaky integrators ---------------------------------------------------------------------------


def _held(
    file: hsic.File, hyper: Mapping[str, Any], chosen: Array, k: int, steps: int
) -> Presentation:
    """A window that is held for some steps: what holds behind each of them."""
    here = slice(k * steps, (k + 1) * steps)
    after = slice(k * steps + 1, (k + 1) * steps + 1)
    weights = _weights(file, hyper, k)
    expect: dict[str, Array] = {"show/w.w": np.broadcast_to(weights, (steps, len(weights)))}
    for i, name in enumerate(hsic.names(hsic.count(file))):
        expect[f"show/{name}.u"] = np.asarray(file[f"u{i}"][after], np.float64)
        expect[f"show/{name}.z"] = np.asarray(file[f"z{i}"][here], np.float64)
        if name != "out":
            expect[f"show/xi.{name}"] = np.zeros(file[f"z{i}"][here].shape)
        for n in ("W", "b"):
            shape = (steps, *hsic.as_pairs(file[f"{n}{i}"][0]).shape)
            expect[f"show/{n}{i + 1}.w"] = np.reshape(file[f"{n}{i}"][after], shape)
            expect[f"show/{n}{i + 1}.dw"] = -np.reshape(file[f"d{n}{i}"][here], shape)
    return Presentation(sample=hsic.sample(file, chosen), expect=expect, name=f"window {k}")
