"""Projections that store only existing synapses: every backend means what the interpreter says."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings

from netdsl.backends.base import Executor
from netdsl.backends.cupy import shim
from netdsl.backends.cupy.shim import ShimExecutor
from netdsl.backends.native import NativeExecutor, available, compiler
from netdsl.backends.numpy import edges as numpy_edges
from netdsl.backends.numpy.executor import NumpyExecutor
from netdsl.codegen.c.program import generate
from netdsl.ir.network import Place
from netdsl.ir.program import Program, Routine, Transpose
from tests.amounts import up_to
from tests.interpreter import Interpreter
from tests.programs import CALLS, PROGRAMS, buffer, initial_values
from tests.programs.edges import DELIVERY_CALLS, as_edges, deliveries
from tests.random_programs import programs

no_compiler = pytest.mark.skipif(not available()[0], reason="no C compiler")
no_shim = pytest.mark.skipif(shim.compiler() is None, reason="no g++ for CUDA on the CPU")
BACKENDS = [
    pytest.param(NumpyExecutor, id="numpy"),
    pytest.param(NativeExecutor, id="native", marks=no_compiler),
    pytest.param(ShimExecutor, id="cuda", marks=no_shim),
]
Call = tuple[str, int, int, int | None]


def values_of(program: Program, rows: int) -> dict[str, np.ndarray]:
    values = initial_values(program, rows)
    for name in ("W.w", "D.w", "S.w"):
        if name in values:
            values[name] *= 0.5
    if "a.s" in values:
        values["a.s"] = (values["a.x"] > 0.8) * 1.0
    return values


def agree(
    backend: Callable[..., Executor],
    program: Program,
    calls: tuple[Call, ...],
    rows: int,
    dtype: str = "float64",
    **options: object,
) -> None:
    values, keys = values_of(program, rows), np.arange(rows, dtype=np.uint64) + 3
    interpreter = Interpreter(program, values, rows, keys, 5)
    executor = backend(program, {}, rows=rows + 2, dtype=dtype, seed=5, **options)
    executor.set_rows(rows, keys)
    for name, value in values.items():
        executor.write(name, value)
    tolerance = 1e-12 if dtype == "float64" else 1e-4
    for call in calls:
        executor.call(*call)
        interpreter.call(*call)
        for name, expected in interpreter.state.items():
            scale = 1 + np.max(np.abs(expected), initial=0.0)
            np.testing.assert_allclose(
                executor.read(name), expected, rtol=0, atol=tolerance * scale, err_msg=name
            )
    executor.close()


def strategies(backend: Callable[..., Executor]) -> tuple[dict[str, object], ...]:
    if backend is NumpyExecutor:
        return ({},)
    return tuple({"strategy": word} for word in ("auto", "dense", "gather"))


@pytest.mark.parametrize("rows", [1, 3, 6, 37, 70])
@pytest.mark.parametrize("backend", BACKENDS)
def test_every_kind_of_delivery_and_product(backend: type[Executor], rows: int) -> None:
    for options in strategies(backend):
        agree(backend, deliveries(), DELIVERY_CALLS, rows, **options)


@pytest.mark.parametrize("density", [0.0, 0.004, 1.0])
@pytest.mark.parametrize("backend", BACKENDS)
def test_no_synapse_rows_without_and_all(backend: type[Executor], density: float) -> None:
    for options in strategies(backend):
        agree(backend, deliveries(density=density), DELIVERY_CALLS, 5, **options)


@pytest.mark.parametrize("backend", BACKENDS)
def test_single_precision(backend: type[Executor]) -> None:
    agree(backend, deliveries(), DELIVERY_CALLS[:2], 20, "float32")


@pytest.mark.parametrize("name", ["three_factor", "relaxation", "functions"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_programs_with_their_synapses_drawn(backend: type[Executor], name: str) -> None:
    for options in strategies(backend):
        agree(backend, as_edges(PROGRAMS[name]()), CALLS[name], 6, **options)


@pytest.mark.parametrize("backend", BACKENDS)
def test_more_synapses_than_a_tile(backend: type[Executor]) -> None:
    agree(backend, deliveries(150, 171, 0.8), DELIVERY_CALLS[:3], 4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_runs_are_bit_identical(backend: type[Executor]) -> None:
    program = deliveries(90, 80, 0.2)
    found = []
    for _ in range(2):
        executor = backend(program, values_of(program, 9), rows=9, seed=4)
        for call in DELIVERY_CALLS:
            executor.call(*call)
        found.append({name: executor.read(name) for name in program.buffers})
    for name, value in found[0].items():
        np.testing.assert_array_equal(value, found[1][name], err_msg=name)


@no_shim
@pytest.mark.parametrize("threads", [1, 3, 200])
@pytest.mark.parametrize("order", [0, 1, 4])
def test_any_number_of_threads_and_any_order(threads: int, order: int) -> None:
    agree(ShimExecutor, deliveries(), DELIVERY_CALLS[:2], 6, threads=threads, order=order)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_the_host_sees(backend: type[Executor]) -> None:
    program = deliveries()
    executor = backend(program, {}, rows=2, dtype="float64", seed=5)
    edges = executor.connections["W"]
    executor.write("W.w", 2.0)
    np.testing.assert_array_equal(executor.read("W.w"), 2.0 * edges.matrix())
    executor.write("W.w", np.arange(edges.count))
    np.testing.assert_array_equal(executor.read("W.w")[edges.pre, edges.post], range(edges.count))
    executor.write("W.w", np.ones(edges.shape))
    np.testing.assert_array_equal(executor.read("W.w"), edges.matrix())
    with pytest.raises(ValueError, match=r"`W\.w` has shape"):
        executor.write("W.w", np.zeros((2, 3)))


@no_compiler
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_c_is_compiled_for_this_processor(dtype: str, tmp_path: Path) -> None:
    """A mistake in what only the first flags compile would be passed over by the plain ones."""
    made = deliveries()
    turned = Routine("turned", "set", once=(Transpose("Q.w", "Q.w"),))
    made = replace(
        made,
        shapes={**made.shapes, "Q": (40, 40)},
        buffers={**made.buffers, "Q.w": buffer("Q.w", Place.SYNAPSE, "Q", "weight")},
        routines={**made.routines, "turned": turned},
    )
    text = tmp_path / "net.c"
    text.write_text(generate(made, dtype).source)
    flags = compiler.flag_sets(fast_math=False)[0]
    command = [*compiler.find().command, *flags, str(text), "-o", str(tmp_path / "net.so"), "-lm"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("few", [0.0, 1.0])
def test_spikes_as_a_sparse_matrix(few: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numpy_edges, "FEW", few)
    monkeypatch.setattr(numpy_edges, "FEW_ALONE", few)
    for rows in (1, 6):
        agree(NumpyExecutor, deliveries(), DELIVERY_CALLS, rows)


@pytest.mark.slow
@given(programs())
@settings(max_examples=up_to(60), deadline=None)
def test_random_programs(program: Program) -> None:
    agree(NumpyExecutor, as_edges(program, 0.5), (("go", 0, 0, None),), 6)


@pytest.mark.slow
@pytest.mark.parametrize("backend", BACKENDS[1:])
@given(program=programs())
@settings(max_examples=up_to(8), deadline=None)
def test_random_programs_compiled(backend: type[Executor], program: Program) -> None:
    agree(backend, as_edges(program, 0.5), (("go", 0, 0, None),), 6)
