"""An NVIDIA GPU through CuPy: memory, kernels, streams. CuPy is imported when one is asked for.

Nothing is taken from CuPy's memory pool: a program's memory is one allocation of the driver.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from netdsl.backends.cupy.branches import Branches
from netdsl.backends.cupy.compiler import compiled, first_line
from netdsl.backends.cupy.cublas import MatrixLibrary
from netdsl.backends.cupy.graph import Graphs
from netdsl.backends.cupy.launcher import DeviceFault, OutOfMemory
from netdsl.backends.cupy.memory import mebibytes
from netdsl.backends.cupy.staging import Staging
from netdsl.codegen.cuda.plan import Gemm, Kernel, Launch
from netdsl.codegen.errors import BackendError

_OUT_OF_MEMORY = 2  # both of the driver and of the runtime
_HELP = (
    "install the extra that fits the driver, netdsl[cuda12] or netdsl[cuda13], on a machine with an"
    " NVIDIA GPU; or run with --backend numpy"
)


def load_cupy() -> Any:
    """CuPy, where a GPU can be used. Raises BackendError E0850, which says what is missing."""
    try:
        import cupy
    except ImportError as error:
        reason = "CuPy is not installed" if error.name == "cupy" else f"CuPy is broken: {error}"
        raise BackendError("E0850", f"the GPU backend cannot run here: {reason}", _HELP) from None
    except OSError as error:  # it makes its cache folder when it is imported
        raise BackendError(
            "E0850",
            f"the GPU backend cannot run here: CuPy cannot make its cache folder ({error})",
            "set CUPY_CACHE_DIR to a folder that can be written, or run with --backend numpy",
        ) from None
    try:
        count = int(cupy.cuda.runtime.getDeviceCount())
    except Exception as error:  # CuPy's own classes differ between a missing driver and an old one
        reason = f"the NVIDIA driver does not answer ({first_line(error)})"
        raise BackendError("E0850", f"the GPU backend cannot run here: {reason}", _HELP) from None
    if count == 0:
        raise BackendError("E0850", "the GPU backend cannot run here: no NVIDIA GPU", _HELP)
    return cupy


def available() -> tuple[bool, str]:
    """Whether the GPU backend can run here, and if not why."""
    try:
        load_cupy()
    except BackendError as error:
        return False, error.message
    return True, ""


class CupyDevice:
    """A `Device` that is GPU number `number`. Raises BackendError E0850 when there is none."""

    def __init__(self, number: int = 0) -> None:
        self._cupy = load_cupy()
        self._runtime = self._cupy.cuda.runtime
        self._device = self._cupy.cuda.Device(number)
        self._allocated: list[int] = []
        self._functions: dict[str, Any] = {}
        self._blas: MatrixLibrary | None = None
        self._mark = 0
        self._failed = False
        self._owned: list[Any] = []  # what has a destructor that calls CUDA
        self.name = f"GPU {number}"
        with self._faults(), self._device:
            properties = self._runtime.getDeviceProperties(number)
            self.name = f"GPU {number} ({properties['name'].decode()})"
            self._stream = self._cupy.cuda.Stream(non_blocking=True)
            self._graphs = Graphs(self._stream)
            self._branches = Branches(self._cupy.cuda, self._stream)
            self._owned += [self._stream, self._graphs, self._branches]
            self._staging = Staging(self._runtime, self._stream)
            # Kernels write their index here when they begin: host memory outlives a fault.
            self._mark = int(self._runtime.hostAlloc(8, self._runtime.hostAllocMapped))
            ctypes.c_int64.from_address(self._mark).value = -1

    @contextlib.contextmanager
    def _faults(self) -> Iterator[None]:
        """Turn what the driver, the runtime and cuBLAS raise into DeviceFault, or E0852."""
        cuda = self._cupy.cuda
        try:
            yield
        except DeviceFault as fault:
            raise self._stopped(fault.text) from None
        except OutOfMemory as error:
            raise self._exhausted(str(error)) from None
        except (cuda.runtime.CUDARuntimeError, cuda.driver.CUDADriverError) as error:
            if error.status == _OUT_OF_MEMORY:
                raise self._exhausted(first_line(error)) from None
            raise self._stopped(first_line(error)) from None

    def _stopped(self, text: str) -> DeviceFault:
        """After a fault CUDA refuses every call of this process, those of destructors too, which
        would report it once more for each object: what has one is kept to the end."""
        self._failed = True
        for thing in self._owned:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(thing))
        self._owned = []
        last = ctypes.c_int64.from_address(self._mark).value if self._mark else None
        return DeviceFault(text, last)

    def _exhausted(self, text: str, wanted: str = "enough memory") -> BackendError:
        return BackendError(
            "E0852",
            f"{self.name} did not give {wanted}: {text}",
            "make populations or the batch smaller, close other programs on the GPU, or"
            " run with --backend numpy",
        )

    def free_bytes(self) -> int:
        """See `Device`."""
        with self._faults(), self._device:
            return int(self._runtime.memGetInfo()[0])

    def allocate(self, nbytes: int) -> int:
        """See `Device`."""
        with self._faults(), self._device:
            try:
                address = int(self._runtime.malloc(nbytes))
            except self._runtime.CUDARuntimeError as error:
                if error.status != _OUT_OF_MEMORY:
                    raise
                raise self._exhausted(first_line(error), mebibytes(nbytes)) from None
            self._allocated.append(address)
            self._runtime.memsetAsync(address, 0, nbytes, self._stream.ptr)
        return address

    def progress(self) -> int:
        """See `Device`."""
        return self._mark

    def load(self, source: str, kernels: Sequence[Kernel]) -> None:
        """See `Device`."""
        cuda = self._cupy.cuda
        with self._faults(), self._device:
            code = compiled(self._cupy, source, int(self._device.compute_capability))
            module = cuda.Module()
            self._owned += [module, self._functions]
            module.load(code)
            for kernel in kernels:
                function = module.get_function(kernel.name)
                # Asking for an attribute loads the kernel: loading is not allowed in a capture.
                cuda.driver.funcGetAttribute(cuda.driver.CU_FUNC_ATTRIBUTE_NUM_REGS, function.ptr)
                self._functions[kernel.name] = function

    def upload(self, address: int, data: npt.NDArray[Any]) -> None:
        """See `Device`."""
        with self._faults(), self._device:
            self._staging.upload(address, data)

    def download(self, address: int, out: npt.NDArray[Any]) -> None:
        """See `Device`."""
        kind = self._runtime.memcpyDeviceToHost
        with self._faults(), self._device:
            self._runtime.memcpyAsync(out.ctypes.data, address, out.nbytes, kind, self._stream.ptr)
            self._stream.synchronize()
            self._staging.rewind()

    def launch(self, launch: Launch, blocks: tuple[int, int], net: int) -> None:
        """See `Device`; within `section`."""
        function, stream = self._functions[launch.kernel], self._branches.current
        function(blocks, (launch.threads,), (np.uint64(net),), stream=stream)

    def branch(self, number: int) -> None:
        """See `Device`; within `section`."""
        self._branches.go_to(number)

    def multiply(
        self, gemm: Gemm, rows: int, dtype: np.dtype[Any], pointers: Mapping[str, int]
    ) -> None:
        """See `Device`; within `section`."""
        if self._blas is None:
            self._blas = MatrixLibrary(self._cupy, self._stream.ptr)
        self._blas.multiply(gemm, rows, dtype, pointers)

    def section(self, key: object, run: Callable[[], None], count: int) -> None:
        """See `Device`: a CUDA graph from the second time on."""
        with self._faults(), self._device:
            try:
                self._graphs.run(key, run, count)
            finally:
                self._branches.forget()

    def synchronize(self) -> None:
        """Wait for all work."""
        with self._faults(), self._device:
            self._stream.synchronize()

    def close(self) -> None:
        """See `Device`; after a fault there is nothing left to give back."""
        if not self._failed:
            with contextlib.suppress(DeviceFault):
                self._release()
        self._allocated, self._blas, self._mark = [], None, 0

    def _release(self) -> None:
        with self._faults(), self._device:
            self._stream.synchronize()
            self._graphs.clear()
            for address in self._allocated:
                self._runtime.free(address)
            if self._blas is not None:
                self._blas.close()
            self._staging.close()
            if self._mark:
                self._runtime.freeHost(self._mark)
