"""Faults of a GPU, on a pretended CuPy: what is said, and that nothing follows."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest

from netdsl.backends.cupy import shim
from netdsl.backends.cupy.branches import SIDES
from netdsl.backends.cupy.cublas import MatrixLibrary
from netdsl.backends.cupy.executor import CupyExecutor
from netdsl.backends.cupy.launcher import DeviceFault, OutOfMemory
from netdsl.cli.main import main
from netdsl.codegen.errors import BackendError
from netdsl.diagnostics.span import Span
from netdsl.ir.program import Program, Routine
from tests.backends import fake_cupy
from tests.backends.fake_cupy import NO_MEMORY, CUDARuntimeError, Fake, FakeBlas
from tests.backends.test_cuda_device import executor_of, fake, needs_compiler
from tests.programs import PROGRAMS

__all__ = ["fake"]
ROOT = Path(__file__).resolve().parents[2]


def failing_executor(fake: Fake) -> CupyExecutor:
    """An executor whose first operation, written in line 2 of its spec, will fail."""
    program = PROGRAMS["three_factor"]()
    routine = program.routines["test.1"]
    spanned = [*routine.step]
    where = Span("net.net", 2, 1, 2, 9)
    spanned[0] = type(spanned[0])("img.s@prev", "img.s", where)
    routines = {**program.routines, "test.1": Routine("test.1", "phase", step=tuple(spanned))}
    program = Program(
        program.name,
        program.sizes,
        program.shapes,
        program.buffers,
        {"test.1": routines["test.1"]},
        sources={"net.net": "network\nimg.s@prev\n"},
    )
    fake.failing = "copy_img_s_at_prev"
    return executor_of(program, strategy="gather")


@needs_compiler
@pytest.mark.parametrize("steps", [1, 7])
def test_a_fault_names_the_line(fake: Fake, steps: int) -> None:
    executor = failing_executor(fake)
    executor.call("test.1", steps)
    with pytest.raises(BackendError, match=r"in or after kernel .copy_img_s.*net.net:2") as error:
        executor.read("h1.v")
    assert error.value.code == "E0853" and "illegal memory access" in error.value.message
    with pytest.raises(BackendError, match="illegal memory access"):
        executor.call("test.1", 1)
    with pytest.raises(BackendError, match="illegal memory access"):
        executor.write("h1.v", 0)
    executor.close()


@needs_compiler
def test_no_destructor_calls_cuda_after_a_fault(fake: Fake) -> None:
    executor = failing_executor(fake)
    executor.call("test.1", 25)  # graphs of one step and of several
    with pytest.raises(BackendError):
        executor.read("h1.v")
    executor.close()
    del executor
    gc.collect()
    assert len(fake.graphs) > 1 and fake.destroyed == 0


@needs_compiler
def test_destructors_run_without_a_fault(fake: Fake) -> None:
    executor = executor_of(PROGRAMS["three_factor"](), strategy="gather")
    executor.call("test.1", 25)
    executor.close()
    del executor
    fake.streams.clear()
    gc.collect()
    module, streams, events = 1, 1 + SIDES, 1 + SIDES
    assert fake.destroyed >= len(fake.graphs) + module + streams + events


@needs_compiler
def test_memory_that_runs_out_later_is_no_fault(
    fake: Fake, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fake_cupy.Stream.end_capture

    def full(stream: object) -> None:
        whole(fake.main)
        raise CUDARuntimeError(NO_MEMORY, "cudaErrorMemoryAllocation: out of memory")

    executor = executor_of(PROGRAMS["three_factor"](), strategy="gather")
    with monkeypatch.context() as patched:
        patched.setattr(fake_cupy.Stream, "end_capture", full)
        with pytest.raises(BackendError, match="did not give enough memory") as error:
            executor.call("test.1", 3)
    assert error.value.code == "E0852"
    executor.call("test.1", 3)
    executor.close()
    assert not fake.memory


@needs_compiler
@pytest.mark.parametrize(
    "raised,code", [(DeviceFault("cublasSgemm_v2 returned status 13", None), "E0853"),
                    (OutOfMemory("cublasCreate_v2 found too little"), "E0852")],
)  # fmt: skip
def test_what_the_matrix_library_reports(
    fake: Fake, monkeypatch: pytest.MonkeyPatch, raised: Exception, code: str
) -> None:
    def fails(*args: object) -> None:
        raise raised

    monkeypatch.setattr(FakeBlas, "multiply", fails)
    executor = executor_of(PROGRAMS["three_factor"](), strategy="dense")
    with pytest.raises(BackendError, match="cublas") as error:
        executor.call("test.1", 3)
    assert error.value.code == code


def test_a_matrix_library_that_is_missing(fake: Fake) -> None:
    with pytest.raises(BackendError, match="libcublas.so.13 cannot be loaded") as error:
        MatrixLibrary(_WithoutBlas(fake), 1)
    assert error.value.code == "E0850"


class _WithoutBlas:
    def __init__(self, fake: Fake) -> None:
        self.cuda = _WithoutBlasCuda(fake.module.cuda.runtime)


class _WithoutBlasCuda:
    def __init__(self, runtime: object) -> None:
        self.runtime = runtime

    @property
    def cublas(self) -> object:
        raise ImportError("Failure finding libcublasLt.so.13")


RUN = """
import sys
from netdsl.backends.cupy import device
from tests.backends.fake_cupy import Fake, FakeBlas
fake = Fake()
sys.modules["cupy"] = fake.module
device.MatrixLibrary = FakeBlas
fake.failing, fake.passes = "synapse_", int(sys.argv[1])
from netdsl.cli.main import main
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.slow
@pytest.mark.skipif(shim.compiler() is None, reason="no g++ for CUDA on the CPU")
def test_a_run_that_a_fault_stops(tmp_path: Path) -> None:
    """The message, nothing after it, and a run folder that another backend resumes."""
    small = ["n1=9", "n2=7", "T=2", "B=10", "n_dev=10"]
    sets = [word for value in small for word in ("--set", value)]
    arguments = ["run", str(ROOT / "specs" / "csdp.net"), *sets, "--limit", "20", "--epochs", "3"]
    arguments += ["--backend", "cupy", "--quiet", "--out", str(tmp_path)]
    done = subprocess.run(
        [sys.executable, "-c", RUN, "70", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 1
    first, *others = done.stderr.strip().splitlines()
    assert first.startswith("error[E0853]: the GPU stopped in or after kernel `synapse_")
    assert "csdp.net:" in first and "cudaErrorIllegalAddress" in first
    assert len(others) == 1 and "--resume" in others[0]  # no "Exception ignored", no traceback
    (run,) = tmp_path.iterdir()
    epochs = len((run / "metrics.jsonl").read_text().splitlines())
    assert 0 < epochs < 3
    command = ["run", str(run / "spec.net"), "--resume", str(run), "--backend", "numpy", "--quiet"]
    assert main(command) == 0
    assert len((run / "metrics.csv").read_text().splitlines()) == 1 + 3 + 1  # a head, and the test
