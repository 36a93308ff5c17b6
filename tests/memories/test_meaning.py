"""What modulators make of slots, against sums written out in NumPy, on every backend."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest

import netdsl
from netdsl.backends.cupy import shim
from netdsl.backends.cupy.shim import ShimExecutor
from netdsl.backends.native import available
from netdsl.runtime.initial import initial_values
from netdsl.runtime.model import Model
from tests.memories.specs import STORED, spec

Values = SimpleNamespace
N = 4
RNG = np.random.default_rng(3)
IMAGES, LABELS = RNG.normal(size=(N, 5)), np.array([1, 0, 1, 1])


def gauss(x: np.ndarray, y: np.ndarray, s: float = 1.0) -> float:
    return float(np.exp(-np.mean((x - y) ** 2) / (2 * s**2)))


def over(value: Callable[[int], np.ndarray | float]) -> np.ndarray:
    """The values for all slots."""
    return np.array([value(q) for q in range(N)])


def _near(v: Values, r: int) -> float:
    return over(lambda q: gauss(v.z[r], v.z[q])).mean()


def _per_slot(v: Values, r: int) -> np.ndarray:
    w = over(lambda p: over(lambda q: gauss(v.a[p], v.a[q])).mean())
    return over(lambda q: w[q] * (v.z[r] - v.z[q])).sum(0) * w[r] + w[-1]


def _per_pair(v: Values, r: int) -> np.ndarray:
    k = over(lambda p: over(lambda q: gauss(v.a[p], 2 * v.a[q]) - v.a[q].mean()))
    return over(lambda q: k[r, q] * (v.z[r] - v.z[q])).sum(0) + v.z[r] * k.mean()


ON = "modulator g on b { scope neuron; "
KERNELS = "scope global; emit mean(gauss(a.s[p], a.s[q], 1) over q in past) }"
CASES: dict[str, tuple[str, Callable[[Values, int], np.ndarray]]] = {
    "two indices": (
        f"{ON} emit z * sum(sum(gauss(z[p], z[q], 1) over q in past) over p in past) }}",
        lambda v, r: v.z[r] * over(lambda p: over(lambda q: gauss(v.z[p], v.z[q])).sum()).sum(),
    ),
    "in a function": (f"{ON} emit m * near(z) }}", lambda v, r: v.m[r] * _near(v, r)),
    "of a let": (
        f"{ON} let k = m * 2; emit sum(k[q] * gauss(k, k[q], 1) over q in past) }}",
        lambda v, r: over(lambda q: 2 * v.m[q] * gauss(2 * v.m[r], 2 * v.m[q])).sum(0),
    ),
    "largest and smallest": (
        f"{ON} emit max(z[q] over q in past) - min(z[q] * z over q in past) }}",
        lambda v, r: v.z.max(0) - (v.z * v.z[r]).min(0),
    ),
    "any": (
        f"{ON} emit z * any(z[q] > z + 0.1 over q in past) }}",
        lambda v, r: v.z[r] * (v.z > v.z[r] + 0.1).any(0),
    ),
    "the newest": (
        f"{ON} emit m[newest] + sum(z[newest]) * z }}",
        lambda v, r: v.m[-1] + v.z[-1].sum() * v.z[r],
    ),
    "the newest against others": (
        f"{ON} emit sum(gauss(z[q], z[newest], 1) * z over q in past) }}",
        lambda v, r: over(lambda q: gauss(v.z[q], v.z[-1])).sum() * v.z[r],
    ),
    "rows": (f"{ON} emit mean(z - z[q] over q in batch) }}", lambda v, r: v.z[r] - v.z.mean(0)),
    "fields of samples": (
        f"{ON} emit sum((sample.label[q] == sample.label) * z[q] over q in past) }}",
        lambda v, r: v.z[LABELS[r] == LABELS].sum(0),
    ),
    "a number for each slot": (
        f"modulator v[p in past] {{ {KERNELS}\n"
        f"{ON} emit sum(v[q] * (z - z[q]) over q in past) * v + v[newest] }}",
        _per_slot,
    ),
    "a number for each two": (
        "modulator k[p in past, q in past] { scope global\n"
        "  emit gauss(a.s[p], 2 * a.s[q], 1) - mean(a.s[q]) }\n"
        "modulator g[p in past] on b { scope neuron\n"
        "  emit sum(k[p, q] * (z[p] - z[q]) over q in past)"
        " + z * mean(mean(k[s, q] over q in past) over s in past) }",
        _per_pair,
    ),
    "of its own cells": (
        f"modulator v[p in past] {{ {KERNELS}\n".replace("a.s", "b.z")
        + f"{ON} emit v[newest] * z * v }}",
        lambda v, r: _near(v, N - 1) * v.z[r] * _near(v, r),
    ),
    "a state": (
        f"{ON} state k = 1; k := 0.5 * k + mean(z[q] over q in past); emit k * z }}",
        lambda v, r: (0.5 + v.z.mean(0)) * v.z[r],
    ),
    "reductions of others": (
        "modulator v { scope global; emit mean(a.s[newest]) + mean(sum(a.s[q]) over q in past) }\n"
        f"{ON} emit v@prev * z + z }}",
        lambda v, r: v.z[r],
    ),
}

no_compiler = pytest.mark.skipif(not available()[0], reason="no C compiler")
no_shim = pytest.mark.skipif(shim.compiler() is None, reason="no g++ for CUDA on the CPU")
BACKENDS = [
    pytest.param("numpy", id="numpy"),
    pytest.param("native", id="native", marks=no_compiler),
    pytest.param("cuda", id="cuda", marks=no_shim),
]


def model_of(text: str, backend: str, monkeypatch: pytest.MonkeyPatch, **more: object) -> Model:
    """A model on a backend; CUDA's source runs on the CPU."""
    name = "numpy" if backend == "cuda" else backend
    made = netdsl.compile(text, backend=name, dtype="float64", **more)  # type: ignore[arg-type]
    if backend == "cuda":
        start = initial_values(made.program, made.seed)
        given = {"rows": made.rows, "dtype": "float64", "seed": made.seed}
        shim_of = partial(ShimExecutor, made.program, start, **given)
        monkeypatch.setattr(made, "_executor", shim_of)
    return made


def values(model: Model) -> Values:
    """What cells hold after the step: from the inputs that are kept."""
    i, u = model.state["b.i"], model.state["b.u"]
    z = np.tanh(i) + 0.1 * u
    return Values(a=IMAGES, z=z, m=z - z.mean(1, keepdims=True))


@pytest.mark.parametrize("backend", BACKENDS)
def test_replay(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All cases in one network: each has modulators of its own."""
    parts = [
        re.sub(r"\b([gv])\b", rf"\g<1>{number}", text)
        for number, (text, _) in enumerate(CASES.values())
    ]
    text = spec("\n".join(parts), dw="sample.newest * pre.s * g0")
    observed = [f"g{number}.b" for number in range(len(CASES))]
    model = model_of(text, backend, monkeypatch, observe=observed)
    before = model.state["W.w"]
    model.present(image=IMAGES, label=LABELS)
    model.phase("run")
    v = values(model)
    for number, (name, (_, wanted)) in enumerate(CASES.items()):
        found = model.state[f"g{number}.b"]
        expected = np.array([wanted(v, r) for r in range(N)])
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13, err_msg=name)
    change = np.outer(IMAGES[-1], CASES["two indices"][1](v, N - 1))
    np.testing.assert_allclose(model.state["W.w"] - before, change, rtol=1e-10, atol=1e-12)
    model.close()


@pytest.mark.parametrize("backend", BACKENDS)
def test_window(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slots are what was stored, also where cells have moved on; the row is the present one."""
    text = spec(
        f"modulator v[p in past] {{ {KERNELS}\n"
        f"{ON} emit sum((v[q] + v[newest]) * gauss(z, z[q], 1) * (z - z[q]) over q in past) "
        "+ max(u[q] over q in past) - u[newest] }",
        memory="window[4] of a.s, b.z, b.u",
        dw="pre.s * g",
        steps=STORED,
        more="",
    )
    model = model_of(text, backend, monkeypatch, observe=["g.b"], rows=1)
    sites = [name for name, routine in model.program.routines.items() if routine.kind == "set"]
    stored = []
    for image in [RNG.normal(size=5), *IMAGES]:  # the first one is forgotten
        model.present(image=image[None], label=LABELS[:1])
        for site in sites:
            model.session.executor.call(site)
        i, u = image @ model.state["W.w"], model.state["b.u"][0]
        stored.append((image, np.tanh(i) + 0.1 * u, u))
        model.phase("run", steps=1)
    a, z, u = (np.array(part) for part in zip(*stored[1:], strict=True))
    w = over(lambda p: over(lambda q: gauss(a[p], a[q])).mean())
    now = z[-1] + 0.1 * (model.state["b.u"][0] - u[-1])
    terms = over(lambda q: (w[q] + w[-1]) * gauss(now, z[q]) * (now - z[q]))
    wanted = terms.sum(0) + u.max(0) - u[-1]
    np.testing.assert_allclose(model.state["g.b"][0], wanted, rtol=1e-11, atol=1e-13)
    model.close()
