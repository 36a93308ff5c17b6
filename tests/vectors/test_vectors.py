"""Short vectors on every backend, against a computation of the same by whole arrays."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import netdsl
from netdsl.backends.cupy import shim
from netdsl.frontend import check
from netdsl.ir.text import parse_program, program_text
from netdsl.syntax.fmt import format_source

SPEC = """edition 1
dt = 1 ms
param K : count = 3
neuron source { input p; state z = 0; z := 0.5 * z + p; def a[k in K] = z * (k + 1) }
neuron cell {
  input j; input m[K]; input cls[4]; input odd[2]
  state g[K] = 0
  state h[2] = 1
  state q[K] = 0.5 keep
  state c[4] = 0
  state o[2] = 0
  d h[i]/dt = (j - h[i]) / (10 ms)
  integrate h with exact
  g[k] := 0.9 * g[k] + m[k] * (k + 1)
  q[k] := 0.1 * sum(q[i] * g[i] over i) + q[(k + 1) % K]      # all from the q before it
  h[1] := h[1] + 1
  c[k] := c[k] + cls[k]
  o[k] := o[k] + odd[k]
  spike s when g[0] > 2 { g[k] := 0.5 * g[k]; refractory 2 steps hold h }
  def b[k in K] = g[k]@prev + q[K - 1]
  state top = 0
  top := max(g[k] over k) + mean(h[k] over k) + min(q[k] over k) + sum(c[k] * k over k in K) + b[1]
}
population x : source[4]
population y : cell[5]
synapse vectors(n) {
  weight w ~ uniform(-1, 1)
  deliver j += w * pre.z
  deliver m[k] += w * pre.a[k]
  deliver cls[pre.index] += w * pre.z
  deliver odd[(pre.index + 1) % 2] += w * pre.a[n - 1]
}
projection W : x -> y dense delay 0 using vectors(n = K)
projection V : x -> y dense delay 1 step { weight w = 0; deliver j += w * pre.z; learn three() }
rule three {
  reads pre.z, post.g, post.q
  dw = 0.01 * pre.z * sum(post.g[k] * post.q[k] over k) + 0.001 * any(post.g[k] > 0 over k)
}
data digits { source = "digits"; batch = 1; split train = train }
protocol train { each batch of digits.train {
  reset; clamp x.p = 1 + index; phase run 8 steps learning
} }
protocol test(split) { each batch of split { reset; clamp x.p = 1 + index; phase run 8 steps } }
readout shown = y.g[K - 1]@run + sum(y.o[0] over run)
metric m = mean(mean(shown))
record y.c[2]
record y.c[3]
"""
STEPS = 8


def expected(w: np.ndarray) -> dict[str, np.ndarray]:
    """What the last step ends with."""
    g, h, q, c, o = np.zeros((3, 5)), np.ones((2, 5)), np.full((3, 5), 0.5), np.zeros((4, 5)), 0.0
    z, v, blocked, top = np.zeros(4), np.zeros((4, 5)), np.zeros(5), 0.0
    for _ in range(STEPS):
        before, late = g, z
        z = 0.5 * z + 1 + np.arange(4)
        j = z @ w + late @ v
        m = np.stack([(z * (k + 1)) @ w for k in range(3)])
        moved = j + (h - j) * np.exp(-0.1)
        moved[1] += 1
        h = np.where(blocked > 0, h, moved)
        g = 0.9 * g + m * np.arange(1, 4)[:, None]
        q = 0.1 * (q * g).sum(0) + np.roll(q, -1, axis=0)
        c = c + z[:, None] * w
        o = o + np.stack(
            [sum(3 * z[i] * w[i] for i in (1, 3)), sum(3 * z[i] * w[i] for i in (0, 2))]
        )
        s = (g[0] > 2) & (blocked <= 0)
        blocked = np.where(s, 2, np.maximum(blocked - 1, 0))
        g = np.where(s, 0.5 * g, g)
        top = g.max(0) + h.mean(0) + q.min(0) + c[1] + 2 * c[2] + before[1] + q[2]
        v = v + 0.01 * np.outer(late, (g * q).sum(0)) + 0.001 * (g > 0).any(0)
    return {"g": g, "h": h, "q": q, "c": c, "o": o, "top": top, "v": v}


@pytest.mark.parametrize("backend", ["numpy", "native", "shim"])
def test_components_are_computed_together(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if backend == "shim":
        if shim.compiler() is None:
            pytest.skip("no g++ for CUDA on the CPU")
        monkeypatch.setattr("netdsl.runtime.backend.executor_class", lambda _: shim.ShimExecutor)
    model = netdsl.compile(SPEC, backend, dtype="float64")
    wanted = expected(model.state["W.w"])
    model.present(image=np.ones((1, 64)), label=np.zeros(1))
    model.reset()
    model.step(STEPS, "run")
    for name in "ghqco":
        found = np.stack([model.state[f"y.{name}[{k}]"][0] for k in range(len(wanted[name]))])
        np.testing.assert_allclose(found, wanted[name], rtol=1e-11, atol=1e-12, err_msg=name)
    np.testing.assert_allclose(model.state["y.top"][0], wanted["top"], rtol=1e-11)
    np.testing.assert_allclose(model.state["V.w"], wanted["v"], rtol=1e-11)


def test_recordings_and_run_directories_have_components(tmp_path: Path) -> None:
    model = netdsl.compile(SPEC, "numpy", dtype="float64")
    recordings = model.evaluate(split="test", limit=1).recordings
    wanted = expected(model.state["W.w"])["c"]
    for k in (2, 3):
        np.testing.assert_allclose(recordings[f"y.c[{k}]"][-1, 0], wanted[k], rtol=1e-11)
    run = model.run(epochs=1, limit=3, out=tmp_path, test=False)
    other = netdsl.compile(SPEC, "numpy", dtype="float64")
    other.run(epochs=1, limit=3, resume=run.directory, test=False)
    for k in range(3):
        assert (other.state[f"y.q[{k}]"] == model.state[f"y.q[{k}]"]).all()


def test_text_of_programs_keeps_components() -> None:
    model = netdsl.compile(SPEC, "numpy")
    assert parse_program(program_text(model.program)) == model.program
    assert {v.of for v in model.program.buffers.values()} >= {"y.c[2]", "y.cls[3]"}


def test_formatting_keeps_vectors() -> None:
    once = format_source(SPEC)
    assert format_source(once) == once
    networks = [replace(check(text, None).require(), text="") for text in (SPEC, once)]
    assert networks[0] == networks[1]


SETTLED = """edition 1
neuron source { state z = 0 }
neuron cell { input j; input m[2]; def e[k in 2] = j - m[k]; state v = 0; v := j }
population x : source[4]
population y : cell[3]
modulator err on y to y { emit vector v }
rule late(a, b) {
  reads a, b, err, pre.z
  let all = sum(err[k] over k)
  at update { dw = 0.1 * pre.z * sum(b[k] * (k + 1) over k) + 0.01 * pre.z * a[1] * all }
}
projection W : x -> y dense delay 0 {
  weight w ~ uniform(-1, 1)
  deliver j += w * pre.z
  deliver m[k] += 0.1 * k * w * pre.z
  learn late(a = post.m, b = post.e)
}
data digits { source = "digits"; batch = 1; split train = train }
protocol train { each batch of digits.train {
  reset; clamp x.z = 1 + index; phase run 2 steps; update W
} }
"""


@pytest.mark.parametrize("backend", ["numpy", "native", "shim"])
def test_settled_components_of_arguments(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if backend == "shim":
        if shim.compiler() is None:
            pytest.skip("no g++ for CUDA on the CPU")
        monkeypatch.setattr("netdsl.runtime.backend.executor_class", lambda _: shim.ShimExecutor)
    model = netdsl.compile(SETTLED, backend, dtype="float64")
    w, z = model.state["W.w"].copy(), 1.0 + np.arange(4)
    model.run(epochs=1, limit=1, test=False)
    j = z @ w
    m = np.stack([0 * j, 0.1 * j])
    total = ((j - m) * np.array([[1], [2]])).sum(0)
    wanted = w + np.outer(z, 0.1 * total + 0.01 * m[1] * j.sum())
    np.testing.assert_allclose(model.state["W.w"], wanted, rtol=1e-12)


@pytest.mark.slow
def test_what_is_written_out_has_bounds() -> None:
    text = SETTLED.replace("state v = 0;", "state v = 0; state g[1000] = 0;")
    wide = text.replace("v := j", "g[k] := sum(g[i] * g[i] over i); v := j")
    assert [d.code for d in check(wide).diagnostics if d.severity == "error"] == ["E0121"]
    narrow = text.replace("v := j", "g[k] := 0.5 * g[k] + j * (k + 1); v := j")
    assert not [d for d in check(narrow).diagnostics if d.severity == "error"]
