"""Further small specs against NumPy: clamps that move, arrivals in rules, pulses, kept states."""

from __future__ import annotations

import numpy as np
import pytest

import netdsl
from tests.specs.test_by_hand import BACKENDS, LEARNING, PLAIN, ROWS, Bench, near


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_to_one_weights(backend: str) -> None:
    bench = Bench(
        """
        neuron cell { input j; state v = 0; v := 0.5 * v + j }
        population a : cell[64]
        projection W : x -> a one_to_one delay 1 step {
          weight w ~ normal(0, 1); deliver j += 2 * w * pre.r }
        record a.v every 1 step on test
        """,
        backend,
        PLAIN,
    )
    v = np.zeros((ROWS, 64))
    for _ in range(3):
        v = 0.5 * v + 2 * bench["W.w"] * bench.x
        bench.step()
        near(bench["a.v"], v)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("delay", [0, 1, 3])
def test_a_rule_reads_what_arrives(backend: str, delay: int) -> None:
    bench = Bench(
        f"""
        neuron ramp {{ input e; state c = 0; c := c + e }}
        neuron cell {{ input j; state v = 0; v := 0.5 * v + j }}
        population a : ramp[5]
        population b : cell[4]
        projection In : x -> a dense delay 0 {{ weight w ~ normal(0, 0.1); deliver e += w * pre.r }}
        rule local {{ dw = 0.01 * pre.c * post.v - 0.001 * w * post.v^2 }}
        projection W : a -> b dense delay {delay} steps {{
          weight w ~ normal(0, 0.1); deliver j += w * pre.c
          learn local()
        }}
        record b.v every 1 step on test
        """,
        backend,
    )
    w, given = bench["W.w"], bench.x @ bench["In.w"]
    past = [np.zeros((ROWS, 5))] * (delay + 1)  # past[k]: the value k steps ago
    v = np.zeros((ROWS, 4))
    for _ in range(6):
        past = [past[0] + given, *past[:delay]]
        arrived = past[delay]
        v = 0.5 * v + arrived @ w
        w = w + 0.01 * arrived.T @ v - 0.001 * w * (v**2).sum(0)
        bench.step()
        near(bench["b.v"], v)
        near(bench["W.w"], w)


LEAK = """
neuron cell {{ input e; state v = 0{keep}; v := 0.5 * v + e }}
population a : cell[64]
readout end = sum(a.v@run)
metric level = mean(end)
"""


def mean_of(bench: Bench) -> tuple[float, float]:
    """The metric over the training images, and their mean sum."""
    level = bench.model.evaluate("test", "train").metrics["level"]
    return level, float(bench.model.samples("train")["image"].astype(float).sum(1).mean())


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_clamp_that_moves(backend: str) -> None:
    test = "clamp a.e = sample.image if phase.step < 2 else 0\nphase run 4 steps"
    level, total = mean_of(Bench(LEAK.format(keep=""), backend, PLAIN, test))
    assert level == pytest.approx(total * (0.5**3 + 0.5**2), rel=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_set_on_an_input_is_a_pulse_of_one_step(backend: str) -> None:
    test = "set a.e := sample.image\nphase run 3 steps"
    level, total = mean_of(Bench(LEAK.format(keep=""), backend, PLAIN, test))
    assert level == pytest.approx(total * 0.5**2, rel=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("delay", "fed"), [(0, 1.75), (1, 1.75), (2, 1.5)])
def test_a_pulse_adds_to_what_projections_deliver(backend: str, delay: int, fed: float) -> None:
    wired = LEAK.format(keep="") + (
        f"projection W : x -> a one_to_one delay {delay} steps {{ deliver e += pre.r }}"
    )
    test = "set a.e := 2 * sample.image\nphase run 3 steps"
    level, total = mean_of(Bench(wired, backend, PLAIN, test))
    assert level == pytest.approx(total * (2 * 0.5**2 + fed), rel=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_repeated_phase_goes_on(backend: str) -> None:
    test = "clamp a.e = sample.image\nrepeat { phase run 1 step } until 1 < 0 limit 3"
    level, total = mean_of(Bench(LEAK.format(keep=""), backend, PLAIN, test))
    assert level == pytest.approx(total * 1.75, rel=1e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_after_update_sees_the_weight_before(backend: str) -> None:
    bench = Bench(
        """
        neuron linear { input j; def y = j }
        population y : linear[4]
        rule hebbian {
          dw = 0.1 * pre.r * post.y
          subtract 0.01 * pre.r
          after update { w := 0.5 * (w + w@prev) }
          reduce mean over batch
        }
        projection W : x -> y dense delay 0 {
          weight w ~ normal(0, 0.1); deliver j += w * pre.r
          learn hebbian()
          bound w in [-0.2, 0.2]
        }
        """,
        backend,
        LEARNING,
    )
    w = bench["W.w"]
    new = w + 0.1 * bench.x.T @ (bench.x @ w) / ROWS
    new = new - 0.01 * bench.x.mean(0)[:, None]
    bench.step()
    near(bench["W.w"], np.clip(0.5 * (new + w), -0.2, 0.2))


AXES = """
edition 1
neuron pixel {
  state r = 0; state place = 0; state flat = 0
  place := row * 10 + col; flat := index
}
population x : pixel[row: 8, col: 8]
neuron cell { input j; state r = 0; r := j }
population h : cell[3]
projection W : x -> h dense delay 0 { weight w ~ uniform(-1, 1); deliver j += w * pre.place }
data digits { source = "digits"; batch = 20 }
protocol train {
  each batch of digits.train { reset; clamp x.r = sample.image; phase run 3 steps }
}
"""


@pytest.mark.parametrize("backend", BACKENDS)
def test_named_axes_count_row_major(backend: str) -> None:
    model = netdsl.compile(AXES, backend=backend)
    try:
        model.present(**model.samples("digits.train", 2))
        model.reset()
        model.step()
        row, col = np.indices((8, 8))
        assert np.array_equal(model.state["x.place"][0].reshape(8, 8), row * 10 + col)
        assert np.array_equal(model.state["x.flat"][1], np.arange(64))
    finally:
        model.close()


SIGNED = """
edition 1
celltype E sign +
celltype I sign -
neuron pixel {{ state r = 0 }}
neuron cell {{ input j; state r = 0; r := j }}
population x : pixel[64] types {{ I: 20; E: 44 }}
population h : cell[3]
rule hebb {{ dw = 0.05 * pre.r * post.r }}
projection W : x -> h dense {sign} delay 0 {{
  weight w ~ uniform(-0.2, 0.5)
  deliver j += w * pre.r
  learn hebb()
  bound mag in [0, 0.4]
}}
data digits {{ source = "digits"; batch = 20 }}
protocol train {{
  each batch of digits.train {{ reset; clamp x.r = sample.image; phase run 3 steps learning }}
}}
"""


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("sign", ["sign -", "sign +", "sign by pre"])
def test_signed_weights_learn_as_magnitudes(backend: str, sign: str) -> None:
    model = netdsl.compile(SIGNED.format(sign=sign), backend=backend, dtype="float64")
    signs = np.where(np.arange(64) < 20, -1.0, 1.0) if "by" in sign else float(sign[-1] + "1")
    signs = np.broadcast_to(signs, 64)[:, None]
    try:
        shown = model.samples("digits.train", 4)
        model.present(**shown)
        model.reset()
        x, mag = np.asarray(shown["image"], np.float64), model.state["W.mag"]
        assert (mag < 0).any()
        for _ in range(3):
            h = x @ (signs * np.maximum(mag, 0))
            change = np.where(mag > 0, signs * 0.05 * (x.T @ h), 0)
            mag = np.clip(mag + change, 0, 0.4)
            model.step()
            assert np.allclose(model.state["h.r"], h, rtol=0, atol=1e-12)
            assert np.allclose(model.state["W.mag"], mag, rtol=0, atol=1e-12)
    finally:
        model.close()
