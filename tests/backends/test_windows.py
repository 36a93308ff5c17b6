"""Shared kernels from the text to every backend, against the direct interpreter."""

from __future__ import annotations

import numpy as np
import pytest

from netdsl.backends.base import Executor
from netdsl.backends.cupy import shim
from netdsl.backends.native import NativeExecutor, available
from netdsl.backends.numpy.executor import NumpyExecutor
from netdsl.frontend import check, lower_network
from netdsl.ir.program import Program
from tests.interpreter import Interpreter
from tests.programs import KEYS, initial_values

ROWS = 5
BACKENDS: dict[str, type[Executor]] = {
    "numpy": NumpyExecutor,
    "native": NativeExecutor,
    "cuda": shim.ShimExecutor,
}
MISSING = {"native": not available()[0], "cuda": shim.compiler() is None}

ONLINE = """\
edition 1
import std.optimiser { adam }
neuron pixel { input fb; state p = 0.4; s ~ bernoulli(clip(p + 0.01 * fb, 0, 1)) }
neuron cell { input j; input back; state v = 0; state r = 0
  v := 0.5 * v + j - 0.1 * back
  spike s when v > 0.3 { v := 0 }
  r := 0.5 * r + s }
neuron relay { input j; input k; state z = 0; z := j + k }
population x : pixel[row: 5, col: 4, ch: 2]
population f : cell[row: 3, col: 2, ch: 3]
population q : relay[row: 2, col: 2, ch: 3]
population g : relay[row: 1, col: 1, ch: 4]
population m : relay[row: 2, col: 2]
rule oja { dw = pre.s * post.r - w * post.r^2; optimise adam(rate = 0.01)
  subtract 0.001 * (1 - pre.s) * post.s; reduce mean over batch }
rule plain { dw = 0.01 * pre.z * post.z * w; after update { w := 0.9 * w + 0.1 * w@prev }
  bound w in [-0.4, 0.4] }
rule bias { dw = 0.01 * post.r }
rule channel { dw = 0.01 * pre.r * post.z }
projection K : x -> f conv(kernel = 3, stride = 2, pad = 1, channels = 3) delay 1 step {
  weight w ~ xavier_uniform(); deliver j += w * pre.s; learn oja() }
projection B : std.one -> f shared_over(row, col) delay 0 {
  weight w = 0; deliver j += w * pre.s; learn bias() }
projection P : f -> q pool([2, 1], stride = 1) delay 0 {
  weight w = 0.25; deliver j += w * pre.r; learn channel() }
projection S : f -> q pool([2, 1], stride = 1) delay 3 step { deliver k += 0.1 * pre.s * post.z }
projection G : q -> g conv(2) delay 0 {
  weight w ~ kaiming_normal(); deliver j += abs(w) * pre.z; learn plain() }
projection M : q -> m conv([1, 1], pad = valid) delay 0 {
  weight w ~ lecun_normal(); deliver j += w * pre.z; deliver k += pre.z; learn plain() }
projection T : f -> x transpose of K delay 1 step { deliver fb += w * pre.s }
projection D : q -> f dense shared_over(row) delay 1 step fixed {
  weight w ~ uniform(-1, 1); deliver back += w * pre.z }
allow weight_transport on T because "the feedback that generative models have"
allow weight_transport on oja because "the feedback that generative models have"
allow aggregated_weights on K because "shared kernels"
allow aggregated_weights on B because "shared kernels"
allow aggregated_weights on P because "shared kernels"
allow aggregated_weights on M because "shared kernels"
data digits { source = "digits"; batch = 5; split train = train }
protocol train { each batch of digits.train { reset; phase run 6 steps learning } }
"""

SETTLED = """\
edition 1
neuron pixel { state z = 0 }
neuron cell { input j; state z = 0; def r = relu(j); z := r }
population x : pixel[row: 4, col: 6]
population f : cell[row: 4, col: 6, ch: 2]
population p : cell[row: 2, col: 3, ch: 2]
population o : cell[3]
rule contrast { at update { dw = pre.z@two * post.r@two - pre.z@one * post.r } }
projection K : x -> f conv(kernel = [3, 1], pad = same) delay 0 {
  weight w ~ xavier_normal(); deliver j += w * pre.z; learn contrast() }
projection P : f -> p pool(2) delay 0 { weight w = 0.25; deliver j += w * pre.z }
projection W : p -> o dense delay 0 {
  weight w ~ xavier_normal(); deliver j += w * pre.z; learn contrast() }
allow aggregated_weights on K because "a convolution shares its kernel"
data digits { source = "digits"; batch = 5; split train = train }
protocol train { each batch of digits.train { reset
  clamp x.z = sample.image; phase one 2 steps; phase two 0 steps; update K, W } }
"""
GROUPS = """\
edition 1
neuron pixel { state z = 0 }
neuron cell { input j; state z = 0; state q = 0
  let r = relu(j)
  def k = 1 / sqrt(mean(j^2 over ch) - mean(j over ch)^2 + 0.01)
  let low = min(j over col); let high = max(r over ch)
  z := (r - mean(r over ch)) * k + 0.1 * low + 0.2 * high * sum(r)
  q := 0.1 * sum(r over row) + any(r > 0.5 over row, col) - max(j over row, ch) }
population x : pixel[row: 4, col: 6]
population f : cell[row: 4, col: 3, ch: 5]
rule hebb { at update { dw = pre.z * post.z * post.k } }
projection K : x -> f conv(kernel = [1, 2], stride = [1, 2]) delay 0 {
  weight w ~ xavier_normal(); deliver j += w * pre.z; learn hebb() }
allow aggregated_weights on K because "a convolution shares its kernel"
data digits { source = "digits"; batch = 5; split train = train }
protocol train { each batch of digits.train { reset
  clamp x.z = sample.image; phase one 2 steps; update K } }
"""
SPECS = {"online": ONLINE, "settled": SETTLED, "groups": GROUPS}


def program_of(text: str, tmp_path) -> Program:
    path = tmp_path / "spec.net"
    path.write_text(text)
    return lower_network(check(path, lower=False).require())


@pytest.mark.parametrize("dtype,tolerance", [("float64", 1e-12), ("float32", 2e-4)])
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", SPECS)
def test_agrees_with_the_interpreter(name, backend, dtype, tolerance, tmp_path) -> None:
    if MISSING.get(backend):
        pytest.skip("no compiler")
    program = program_of(SPECS[name], tmp_path)
    initial = initial_values(program, ROWS)
    reference = Interpreter(program, initial, ROWS, KEYS[:ROWS], seed=3)
    executor = BACKENDS[backend](program, {}, rows=ROWS, dtype=dtype, seed=3)
    executor.set_rows(ROWS, KEYS[:ROWS])
    for buffer, value in initial.items():
        executor.write(buffer, value)
    for routine in program.routines.values():
        steps = {"one": 2, "run": 6}.get(routine.phase, 0)
        for each in (reference, executor):
            each.call(routine.name, steps, 0, steps)
    for buffer, expected in reference.state.items():
        np.testing.assert_allclose(
            executor.read(buffer), expected, rtol=tolerance, atol=tolerance, err_msg=buffer
        )


@pytest.mark.parametrize(("name", "shape"), [("online", (18, 3)), ("settled", (3, 2))])
def test_a_weight_is_one_kernel(name: str, shape: tuple[int, int], tmp_path) -> None:
    program = program_of(SPECS[name], tmp_path)
    assert program.shapes["K"] == shape
    assert program.windows["K"].shape == shape
