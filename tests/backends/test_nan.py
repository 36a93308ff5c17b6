"""NaN and infinity pass through every operation alike, whatever the backend and its strategy."""

from __future__ import annotations

import numpy as np
import pytest

import netdsl
from netdsl.backends.cupy import shim
from netdsl.backends.native import available
from netdsl.runtime import backend as backends

NAN, INF = np.nan, np.inf
BACKENDS: list[tuple[str, dict[str, str]]] = [("numpy", {})]
if available()[0]:
    BACKENDS += [("native", {"strategy": how}) for how in ("auto", "dense", "gather")]
if shim.compiler() is not None:
    BACKENDS += [("cupy", {"strategy": how}) for how in ("dense", "gather")]
IDS = [" ".join((name, *options.values())) for name, options in BACKENDS]
anywhere = pytest.mark.parametrize(("backend", "options"), BACKENDS, ids=IDS)
DTYPES = ("float64", "float32")


@pytest.fixture(autouse=True)
def cuda_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(backends.BACKENDS, "cupy", ("netdsl.backends.cupy.shim", "ShimExecutor"))


CELLS = {  # an expression of a per-neuron x and y
    "max(x)": lambda x, y: np.max(x, 1, keepdims=True),
    "min(x)": lambda x, y: np.min(x, 1, keepdims=True),
    "sum(x)": lambda x, y: np.sum(x, 1, keepdims=True),
    "mean(x)": lambda x, y: np.mean(x, 1, keepdims=True),
    "max(x over col)": lambda x, y: np.repeat(x.reshape(-1, 5, 7).max(2), 7, 1),
    "min(x over col)": lambda x, y: np.repeat(x.reshape(-1, 5, 7).min(2), 7, 1),
    "sum(x over col)": lambda x, y: np.repeat(x.reshape(-1, 5, 7).sum(2), 7, 1),
    "max(x over row)": lambda x, y: np.tile(x.reshape(-1, 5, 7).max(1), (1, 5)),
    "max(x, y)": lambda x, y: np.maximum(x, y),
    "min(x, y)": lambda x, y: np.minimum(x, y),
    "max(x, 0.5)": lambda x, y: np.maximum(x, 0.5),
    "min(0.5, x)": lambda x, y: np.minimum(0.5, x),
    "clip(x, -1, 1)": lambda x, y: np.clip(x, -1, 1),
    "clip(0.5, x, y)": lambda x, y: np.minimum(np.maximum(0.5, x), y),
    "relu(x)": lambda x, y: np.maximum(x, 0),
    "sign(x)": lambda x, y: np.sign(x),
    "abs(x)": lambda x, y: np.abs(x),
    "floor(x)": lambda x, y: np.floor(x),
    "(y > 0) * x": lambda x, y: (y > 0) * x,
    "x - x": lambda x, y: x - x,
    "x if x > y else y": lambda x, y: np.where(x > y, x, y),
    "sqrt(x)": lambda x, y: np.sqrt(x),
    "log(x)": lambda x, y: np.log(x),
    "exp(x)": lambda x, y: np.exp(x),
    "tanh(x)": lambda x, y: np.tanh(x),
    "sigmoid(x)": lambda x, y: 1 / (1 + np.exp(-x)),
    "x / y": lambda x, y: x / y,
}
POPULATION = """\
edition 1
neuron cell {{ state x = 0; state y = 0; {states} {body} }}
population p : cell[row: 5, col: 7]
protocol train {{ phase run 1 step }}
"""


def operands(dtype: str) -> tuple[np.ndarray, np.ndarray]:
    """Rows with NaN or infinity first, amid and last, and a row without."""
    draw = np.random.default_rng(1)
    x, y = draw.normal(size=(2, 8, 35)).astype(dtype).astype(float)
    for row, (place, value) in enumerate(
        [(0, NAN), (16, NAN), (34, NAN), (33, INF), (2, -INF), (1, 0.0)]
    ):
        x[row, place] = value
        y[row, (place + 1) % 35] = value
    x[6, :] = NAN
    y[5, 3] = 0
    return x, y


@anywhere
@pytest.mark.parametrize("dtype", DTYPES)
def test_functions_and_reductions(backend: str, options: dict[str, str], dtype: str) -> None:
    states = "".join(f"state z{k} = 0; " for k in range(len(CELLS)))
    body = "; ".join(f"z{k} := {text}" for k, text in enumerate(CELLS))
    text = POPULATION.format(states=states, body=body)
    keep = [f"p.z{k}" for k in range(len(CELLS))]
    model = netdsl.compile(text, backend, dtype=dtype, rows=8, observe=keep, **options)
    x, y = operands(dtype)
    model.present(image=np.zeros((8, 1)))
    model.reset()
    model.state["p.x"], model.state["p.y"] = x, y
    model.step()
    for key, (text, meaning) in zip(keep, CELLS.items(), strict=True):
        with np.errstate(all="ignore"):
            expected = np.broadcast_to(meaning(x, y), x.shape)
        np.testing.assert_allclose(
            model.state[key], expected, rtol=1e-4 if dtype == "float32" else 1e-12, err_msg=text
        )
    model.close()


PRODUCT = """\
edition 1
neuron source {{ {source} }}
neuron unit {{ input j; state r = 0; r := j }}
population a : source[40]
population b : unit[30]
projection W : a -> b {wiring} delay 0 {{ weight w ~ uniform(-1, 1); deliver j += w * pre.s }}
protocol train {{ phase run 1 step }}
"""
SOURCES = {"binary": "state s : bool = false", "real": "state s = 0"}
WIRINGS = ("dense", "sparse(p = 0.3)")


@pytest.mark.parametrize("value", [NAN, INF, -INF])
@pytest.mark.parametrize("rows", [1, 6])
@pytest.mark.parametrize("wiring", WIRINGS)
@pytest.mark.parametrize("source", SOURCES)
def test_a_weight_through_which_nothing_is_sent(
    source: str, wiring: str, rows: int, value: float
) -> None:
    """0 times NaN is NaN for every strategy; and when the weight is whole again, nothing stays."""
    text = PRODUCT.format(source=SOURCES[source], wiring=wiring)
    for backend, options in BACKENDS:
        model = netdsl.compile(text, backend, dtype="float64", rows=rows, **options)
        model.present(image=np.zeros((rows, 1)))
        model.reset()
        exists = model.state["W.w"] != 0
        sent = np.zeros((rows, 40))
        sent[0, 3] = 1
        model.state["a.s"] = sent
        w = model.state["W.w"]
        bad = w.copy()
        bad[5, exists[5]] = value
        for weight in (w, bad, w):
            model.state["W.w"] = weight
            model.step(phase="run")
            model.reset()
            model.state["a.s"] = sent
            model.step(phase="run")
            with np.errstate(all="ignore"):
                products = np.where(exists, sent[:, :, None] * weight, 0)
            np.testing.assert_allclose(
                model.state["b.r"], products.sum(1), atol=1e-12, err_msg=f"{backend} {options}"
            )
        model.close()


def test_readouts_keep_nan() -> None:
    text = """\
edition 1
neuron cell { state x = 0 }
population p : cell[10]
data digits { source = "digits"; batch = 4 }
protocol train { each batch of digits.train { phase run 1 step } }
protocol test(split) { each batch of split { phase run 1 step } }
readout best = argmax(p.x@run)
readout top = max(p.x@run)
"""
    for call in ("best", "top", "topk(p.x@run, sample.label, 2)"):
        model = netdsl.compile(text + f"metric m = mean({call})\n", "numpy")
        assert np.isfinite(model.evaluate(limit=4).metrics["m"])
    from netdsl.runtime.host import _WHOLE, REDUCTIONS

    x = np.array([[1.0, NAN, 2.0], [1.0, 3.0, 2.0]])
    label = np.array([[0.0], [1.0]])
    found = [
        _WHOLE["argmax"](x),
        _WHOLE["topk"](x, label, np.array([[1.0]])),
        *(REDUCTIONS[kind](x, 1) for kind in ("max", "min", "sum", "mean", "argmax")),
    ]
    for value in found:
        assert np.isnan(value[0, 0]) and np.isfinite(value[1, 0])


LEARNING = """\
edition 1
neuron source { state s : bool = false }
neuron unit { input j; state r = 0; r := r + 0.1 * j }
rule hebb { at update { dw = 0.1 * post.r * pre.s } }
population a : source[40]
population b : unit[30]
projection W : a -> b dense delay 0 {
  weight w ~ uniform(-1, 1); deliver j += w * pre.s; learn hebb() }
data digits { source = "digits"; batch = 6 }
protocol train { each batch of digits.train { phase run 1 step; update W } }
"""


def test_learning_from_a_state_that_is_nan() -> None:
    """A silent sender times NaN is NaN in the weights too."""
    found = []
    for backend, options in BACKENDS:
        model = netdsl.compile(LEARNING, backend, dtype="float64", **options)
        model.present(image=np.zeros((6, 64)), label=np.zeros(6))
        model.reset()
        sent = np.zeros((6, 40))
        sent[0, 3] = 1
        r = np.zeros((6, 30))
        r[0, 7] = NAN
        model.state["a.s"], model.state["b.r"] = sent, r
        model.step(phase="run")
        model.update()
        found.append(model.state["W.w"])
        model.close()
    assert np.isnan(found[0][:, 7]).all() and np.isnan(found[0]).sum() == 40
    for value in found[1:]:
        np.testing.assert_allclose(value, found[0], rtol=1e-12)
