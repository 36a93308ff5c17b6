"""CUDA programs on the CPU: the generated source compiled as C++, for tests without a GPU.

Kernels run through `templates/cuda/host_shim.h`, matrix products through NumPy; the launch plan is
the one that a GPU gets.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from netdsl.backends.base import Array
from netdsl.backends.cupy.launcher import DeviceFault, GpuExecutor
from netdsl.backends.native import cache
from netdsl.codegen.cuda.plan import Gemm, Kernel, Launch
from netdsl.codegen.errors import BackendError
from netdsl.ir.program import Program
from netdsl.paths import data_path

# What is compiled runs for moments, so that -O0 takes less in all.
# -ffp-contract=off: as the device's compiler is told.
_FLAGS = ("-x", "c++", "-std=c++17", "-O0", "-shared", "-fPIC", "-ffp-contract=off", "-w")


def compiler() -> str | None:
    """The C++ compiler of the shim, or None."""
    return shutil.which("g++")


def build(source: str) -> Path:
    """A shared library of a CUDA source, kept like other kernels. Raises BackendError E0854."""
    tool = compiler()
    if tool is None:
        raise BackendError("E0854", "no g++ was found to compile CUDA source for the CPU")
    shim = data_path("templates") / "cuda" / "host_shim.h"
    command = [tool, *_FLAGS, "-DHOST_SHIM", "-include", str(shim)]
    version = f"{Path(tool).resolve()} {Path(tool).stat().st_mtime_ns}"
    key = cache.key_of(version, *command, shim.read_text(), source)

    def make(text: Path, library: Path) -> None:
        made = [*command, str(text), "-o", str(library)]
        done = subprocess.run(made, capture_output=True, text=True, check=False)
        if done.returncode:
            message = f"g++ failed on the generated CUDA source:\n{done.stderr[:2000]}"
            raise BackendError("E0854", message)

    return cache.find(key) or cache.build(key, source, make)[0]


class ShimDevice:
    """A `Device` of host memory. `threads` limits those of a block; `order` is that of blocks and
    threads: 0 ascending, 1 descending, else shuffled."""

    name = "the CPU"

    def __init__(self, threads: int = 32, order: int = 0) -> None:
        self.threads, self.order = threads, order
        self._arenas: list[npt.NDArray[np.uint8]] = []
        self._progress = np.full(1, -1, np.int64)
        self.launched: list[str] = []
        self._branched: list[tuple[Launch, tuple[int, int], int]] | None = None

    def free_bytes(self) -> int:
        """See `Device`: more than any test needs."""
        return 1 << 40

    def allocate(self, nbytes: int) -> int:
        """See `Device`."""
        self._arenas.append(np.zeros(nbytes, np.uint8))
        return int(self._arenas[-1].ctypes.data)

    def progress(self) -> int:
        """See `Device`."""
        return int(self._progress.ctypes.data)

    def load(self, source: str, kernels: Sequence[Kernel]) -> None:
        """See `Device`."""
        library = ctypes.CDLL(str(build(source)))
        self._launch = library.shim_launch
        self._functions = {k.name: getattr(library, k.name) for k in kernels}

    def upload(self, address: int, data: npt.NDArray[Any]) -> None:
        """See `Device`."""
        ctypes.memmove(address, data.ctypes.data, data.nbytes)

    def download(self, address: int, out: npt.NDArray[Any]) -> None:
        """See `Device`."""
        ctypes.memmove(out.ctypes.data, address, out.nbytes)

    def launch(self, launch: Launch, blocks: tuple[int, int], net: int) -> None:
        """See `Device`."""
        if self._branched is not None:
            self._branched.append((launch, blocks, net))
            return
        threads = launch.threads if launch.fixed_threads else min(launch.threads, self.threads)
        self.launched.append(launch.kernel)
        fault = self._launch(
            self._functions[launch.kernel],
            ctypes.c_void_p(net),
            blocks[0],
            blocks[1],
            threads,
            self.order,
        )
        if fault:
            raise DeviceFault("threads of a block do not meet at a barrier", int(self._progress[0]))

    def branch(self, number: int) -> None:
        """See `Device`: branches one after the other, the last one first unless `order` is 0."""
        if number:
            self._branched = self._branched or []
            return
        waiting, self._branched = self._branched or [], None
        for work in waiting if self.order == 0 else reversed(waiting):
            self.launch(*work)

    def multiply(
        self, gemm: Gemm, rows: int, dtype: np.dtype[Any], pointers: Mapping[str, int]
    ) -> None:
        """See `Device`."""
        weight = _matrix(pointers["weight"], gemm.m, gemm.n, gemm.n, dtype)
        weight = weight.T if gemm.transposed else weight
        source = _matrix(pointers["source"], rows, weight.shape[0], gemm.source_stride, dtype)
        target = _matrix(pointers["target"], rows, weight.shape[1], gemm.target_stride, dtype)
        alpha = _matrix(pointers["alpha"], 1, 1, 1, dtype)[0, 0]
        beta = _matrix(pointers["beta"], 1, 1, 1, dtype)[0, 0]
        with np.errstate(all="ignore"):  # a device says nothing of NaN either
            product = alpha * (source @ weight)
            target[...] = product if beta == 0 else target * beta + product

    def section(self, key: object, run: Callable[[], None], count: int) -> None:
        """See `Device`."""
        for _ in range(count):
            run()

    def close(self) -> None:
        """See `Device`."""


def _matrix(
    address: int, rows: int, columns: int, stride: int, dtype: np.dtype[Any]
) -> npt.NDArray[Any]:
    """A view of memory as a (rows, columns) matrix."""
    size = ((rows - 1) * stride + columns) * dtype.itemsize if rows and columns else 0
    raw = (ctypes.c_char * size).from_address(address)
    strides = (stride * dtype.itemsize, dtype.itemsize)
    return np.ndarray((rows, columns), dtype, memoryview(raw), strides=strides)


class ShimExecutor(GpuExecutor):
    """Runs CUDA programs on the CPU; see `Executor`, and `ShimDevice` for the last two options."""

    name = "cuda-shim"

    def __init__(
        self,
        program: Program,
        initial: Mapping[str, Array],
        *,
        rows: int,
        dtype: str = "float32",
        seed: int = 0,
        strategy: str = "auto",
        threads: int = 32,
        order: int = 0,
    ) -> None:
        device = ShimDevice(threads, order)
        super().__init__(
            program, initial, device, rows=rows, dtype=dtype, seed=seed, strategy=strategy
        )
