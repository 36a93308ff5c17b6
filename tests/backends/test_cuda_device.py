"""The CuPy device on a pretended CuPy: graphs, memory, compilation; and its absence."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from netdsl.backends.cupy import available, device, shim
from netdsl.backends.cupy.branches import Branches
from netdsl.backends.cupy.compiler import COMPILE_OPTIONS, architecture
from netdsl.backends.cupy.executor import CupyExecutor
from netdsl.backends.cupy.graph import UNROLL
from netdsl.backends.cupy.staging import Staging
from netdsl.backends.native import cache
from netdsl.codegen.cuda.plan import Beside
from netdsl.codegen.errors import BackendError
from netdsl.ir.program import Program
from tests.backends.fake_cupy import CUDARuntimeError, Fake, FakeBlas
from tests.interpreter import Interpreter
from tests.programs import CALLS, KEYS, PROGRAMS, ROWS, initial_values

needs_compiler = pytest.mark.skipif(shim.compiler() is None, reason="no g++ for CUDA on the CPU")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Fake:
    made = Fake()
    shared = os.environ["NETDSL_CACHE"]
    monkeypatch.setattr(shim, "build", partial(built_before, shared, shim.build))
    monkeypatch.setenv("NETDSL_CACHE", str(tmp_path))
    monkeypatch.setitem(sys.modules, "cupy", made.module)
    monkeypatch.setattr(device, "MatrixLibrary", FakeBlas)
    return made


def built_before(cache: str, build: Callable[[str], Path], source: str) -> Path:
    """The library that stands for a kernel, from the cache of all tests, not from that of one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NETDSL_CACHE", cache)
        return build(source)


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
def test_learning_passes_run_beside_each_other(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[int] = []
    go_to = Branches.go_to
    monkeypatch.setattr(
        Branches, "go_to", lambda self, number: (opened.append(number), go_to(self, number))
    )
    executor = executor_of(PROGRAMS["relaxation"]())
    actions = executor.unit.routines["train.update"].once
    updates = [action for action in actions if action.beside is Beside.LEARNING]
    assert len(updates) > 2
    executor.call("train.update")
    assert opened == [*range(1, len(updates) + 1), 0]
    assert fake.graphs == []


def test_a_branch_that_does_not_end_is_no_graph(fake: Fake) -> None:
    main = fake.module.cuda.Stream(non_blocking=True)
    branches = Branches(fake.module.cuda, main)
    for end in (True, False):
        main.begin_capture()
        branches.go_to(1)
        branches.current.submit(lambda: None)
        if end:
            branches.go_to(0)
            main.end_capture()
            continue
        with pytest.raises(CUDARuntimeError, match="Unjoined"):
            main.end_capture()


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
def test_a_written_array_is_the_callers_at_once(fake: Fake) -> None:
    executor = executor_of(PROGRAMS["three_factor"]())
    value = np.full(executor.read("h1.v").shape, 2.0)
    executor.write("h1.v", value)
    value.fill(7)  # before the device has read anything
    assert np.all(executor.read("h1.v") == 2)


@needs_compiler
def test_arrays_larger_than_the_page_locked_memory(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "Staging", partial(Staging, nbytes=256))
    executor = executor_of(PROGRAMS["three_factor"](40, 30))
    for factor in (1.0, 3.0):
        value = factor * np.arange(1200.0).reshape(40, 30)
        executor.write("W1.w", value)
        np.testing.assert_array_equal(executor.read("W1.w"), value)


@needs_compiler
def test_code_is_compiled_once(fake: Fake, tmp_path: Path) -> None:
    for _ in range(2):
        executor_of(PROGRAMS["three_factor"]()).close()
    assert fake.nvrtc.count == 1
    assert set(fake.nvrtc.options) == {*COMPILE_OPTIONS, "--gpu-architecture=sm_90"}
    (kept,) = (entry.path for entry in cache.entries() if entry.path.suffix != ".so")  # the fake's
    assert kept.suffix == ".cubin"
    kept.write_bytes(b"damaged")
    executor_of(PROGRAMS["three_factor"]()).close()
    assert fake.nvrtc.count == 2


@needs_compiler
def test_a_cache_that_cannot_be_written(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NETDSL_CACHE", str(tmp_path / "file"))
    executor_of(PROGRAMS["three_factor"]()).call("test.1", 2)
    assert fake.nvrtc.count == 1


def test_what_nvrtc_is_asked_for() -> None:
    assert architecture(90, (75, 80, 90, 100)) == "sm_90"
    assert architecture(103, (75, 80, 90, 100)) == "compute_100"
    with pytest.raises(BackendError, match="7.5 and above, not 6.1") as error:
        architecture(61, (75, 80))
    assert error.value.code == "E0850"


def test_without_nvrtc(fake: Fake, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> tuple[int, int]:
        raise RuntimeError('Failure finding "libnvrtc.so.13"\nNo such file')

    monkeypatch.setattr(fake.nvrtc, "getVersion", missing)
    with pytest.raises(BackendError, match='NVRTC is missing .Failure finding "lib') as error:
        executor_of(PROGRAMS["draws"]())
    assert error.value.code == "E0850"
    assert error.value.help and "netdsl[cuda13]" in error.value.help


def test_a_number_that_no_gpu_has(fake: Fake) -> None:
    with pytest.raises(BackendError, match="GPU 3 cannot be used: cudaErrorInvalidDev") as error:
        executor_of(PROGRAMS["draws"](), device=3)
    assert error.value.code == "E0850"


def test_a_source_that_does_not_compile(fake: Fake) -> None:
    fake.nvrtc.broken = True
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


def test_when_cupy_cannot_write_its_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cupy.py").write_text("raise PermissionError(13, 'no', '/home/me/.cupy')")
    monkeypatch.delitem(sys.modules, "cupy", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(BackendError, match="cannot make its cache folder.*/home/me/.cupy") as error:
        executor_of(PROGRAMS["draws"]())
    assert error.value.code == "E0850"
    assert error.value.help and "CUPY_CACHE_DIR" in error.value.help


def test_without_a_driver_or_a_gpu(fake: Fake) -> None:
    def no_driver() -> int:
        raise CUDARuntimeError(35, "cudaErrorInsufficientDriver: driver too old")

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
    executor.device.synchronize()
    first = fake.launched - launched
    counted = _kernels(executor, lambda: executor.call("test.1", 5))
    executor.device.synchronize()
    assert counted == first == fake.launched - launched - first
    assert _empty_seconds(executor) > 0
