"""The CuPy device on a pretended CuPy: graphs, memory, faults; and its absence."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from netdsl.backends.base import BackendError
from netdsl.backends.cupy import available, device, shim
from netdsl.backends.cupy.executor import CupyExecutor
from netdsl.backends.cupy.graph import UNROLL
from netdsl.diagnostics.span import Span
from netdsl.ir.program import Program, Routine
from tests.backends.fake_cupy import CUDARuntimeError, Fake, FakeBlas
from tests.interpreter import Interpreter
from tests.programs import CALLS, KEYS, PROGRAMS, ROWS, initial_values

needs_compiler = pytest.mark.skipif(shim.compiler() is None, reason="no g++ for CUDA on the CPU")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Fake:
    made = Fake()
    monkeypatch.setitem(sys.modules, "cupy", made.module)
    monkeypatch.setattr(device, "MatrixLibrary", FakeBlas)
    return made


def executor_of(program: Program, **options: object) -> CupyExecutor:
    values = initial_values(program)
    made = CupyExecutor(program, values, rows=ROWS, dtype="float64", seed=5, **options)  # type: ignore[arg-type]
    made.set_rows(ROWS, KEYS)
    return made


@needs_compiler
@pytest.mark.parametrize("strategy", ["auto", "dense"])
@pytest.mark.parametrize("name", PROGRAMS)
def test_agrees_with_interpreter(fake: Fake, name: str, strategy: str) -> None:
    program = PROGRAMS[name]()
    executor = executor_of(program, strategy=strategy)
    interpreter = Interpreter(program, initial_values(program), ROWS, KEYS, 5)
    for call in (*CALLS[name], *CALLS[name]):
        executor.call(*call)
        interpreter.call(*call)
    for buffer, expected in interpreter.state.items():
        np.testing.assert_allclose(executor.read(buffer), expected, 1e-11, 1e-11, err_msg=buffer)


@needs_compiler
def test_a_phase_is_a_graph_replayed(fake: Fake) -> None:
    executor = executor_of(PROGRAMS["three_factor"](), strategy="gather")
    executor.call("train.1", 3 * UNROLL + 4)
    one = min(fake.graphs)
    assert sorted(fake.graphs) == [one, one * UNROLL]
    assert fake.replays == 3 + 3  # the first step was launched directly
    executor.call("train.1", 3 * UNROLL + 4)
    # Now everything is captured: before the steps, the steps, after them.
    assert len(fake.graphs) == 4
    assert fake.replays == 6 + 1 + 3 + 4 + 1


@needs_compiler
def test_other_rows_are_other_graphs(fake: Fake) -> None:
    program = PROGRAMS["three_factor"]()
    executor = executor_of(program, strategy="dense")
    interpreter = Interpreter(program, initial_values(program), ROWS, KEYS, 5)
    executor.call("train.1", 4)
    made = len(fake.graphs)
    executor.set_rows(3, KEYS[:3])
    executor.call("train.1", 4)
    assert len(fake.graphs) > made
    interpreter.call("train.1", 4)
    np.testing.assert_allclose(executor.read("t"), 2 * interpreter.state["t"])


def test_too_much_memory_is_refused_before_allocation(fake: Fake) -> None:
    fake.free = 2000
    with pytest.raises(BackendError, match="needs .* and GPU 0 .Pretended. has") as error:
        executor_of(PROGRAMS["three_factor"]())
    assert error.value.code == "E0851"
    assert not fake.memory


@needs_compiler
def test_memory_that_the_driver_does_not_give(fake: Fake) -> None:
    fake.refuse = True
    with pytest.raises(BackendError, match="out of memory") as error:
        executor_of(PROGRAMS["three_factor"]())
    assert error.value.code == "E0852"
    assert not fake.memory


@needs_compiler
def test_everything_is_given_back(fake: Fake) -> None:
    executor = executor_of(PROGRAMS["relaxation"]())
    executor.call("train.free", 3)
    executor.close()
    assert not fake.memory


@needs_compiler
@pytest.mark.parametrize("steps", [1, 7])
def test_a_fault_names_the_line(fake: Fake, steps: int) -> None:
    program = PROGRAMS["three_factor"]()
    routine = program.routines["test.1"]
    spanned = [*routine.step]
    where = Span("net.net", 2, 1, 2, 9)
    spanned[0] = type(spanned[0])("img.s@prev", "img.s", where)
    routines = {**program.routines, "test.1": Routine("test.1", "phase", step=tuple(spanned))}
    program = Program(
        program.name, program.sizes, program.shapes, program.buffers,
        {"test.1": routines["test.1"]}, sources={"net.net": "network\nimg.s@prev\n"},
    )
    executor = executor_of(program, strategy="gather")
    fake.failing = "copy_img_s_at_prev"
    executor.call("test.1", steps)
    with pytest.raises(BackendError, match=r"in or after kernel .copy_img_s.*net.net:2") as error:
        executor.read("h1.v")
    assert error.value.code == "E0853" and "illegal memory access" in error.value.message
    with pytest.raises(BackendError, match="illegal memory access"):
        executor.call("test.1", 1)
    executor.close()


def test_a_source_that_does_not_compile(fake: Fake) -> None:
    fake.broken = True
    with pytest.raises(BackendError, match="expected a ;") as error:
        executor_of(PROGRAMS["draws"]())
    assert error.value.code == "E0854"


def test_without_cupy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(BackendError, match="CuPy is not installed") as error:
        executor_of(PROGRAMS["draws"]())
    assert error.value.code == "E0850"
    assert error.value.help and "netdsl[cuda12]" in error.value.help
    assert "netdsl[cuda13]" in error.value.help and "--backend numpy" in error.value.help
    assert available() == (False, "the GPU backend cannot run here: CuPy is not installed")


def test_without_a_driver_or_a_gpu(fake: Fake) -> None:
    def no_driver() -> int:
        raise CUDARuntimeError("cudaErrorInsufficientDriver: driver too old")

    fake.module.cuda.runtime.getDeviceCount = no_driver
    assert "driver does not answer (cudaErrorInsufficientDriver" in available()[1]
    fake.module.cuda.runtime.getDeviceCount = lambda: 0
    assert available()[1].endswith("no NVIDIA GPU")


def test_the_benchmark_says_why_it_cannot_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from benchmarks import gpu

    monkeypatch.setitem(sys.modules, "cupy", None)
    assert gpu.main([]) == 2
    assert "nothing was measured" in capsys.readouterr().err


@needs_compiler
def test_the_benchmark_counts_kernels(fake: Fake) -> None:
    from benchmarks.gpu import _empty_seconds, _kernels

    executor = executor_of(PROGRAMS["three_factor"](), strategy="gather")
    launched = fake.launched
    executor.call("test.1", 5)
    first = fake.launched - launched
    counted = _kernels(executor, lambda: executor.call("test.1", 5))
    assert counted == first == fake.launched - launched - first
    assert _empty_seconds(executor) > 0
