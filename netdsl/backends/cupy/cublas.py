"""Matrix products by cuBLAS, called so that they can be captured in a CUDA graph.

CuPy's own functions refuse to run under capture, so the library that CuPy has loaded is called
directly: on one stream, with factors in device memory and a workspace of its own, as graphs need.
A new handle's products of float32 are in float32; tensor cores, which round to 10 bits, serve only
those that ask for them.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from netdsl.backends.cupy.compiler import first_line
from netdsl.backends.cupy.launcher import DeviceFault, OutOfMemory
from netdsl.codegen.cuda.plan import Gemm
from netdsl.codegen.errors import BackendError

WORKSPACE_BYTES = 32 << 20  # what the library recommends for the largest devices
_POINTER_MODE_DEVICE = 1
_AS_IS, _TRANSPOSED = 0, 1
_NO_MEMORY = 3


class MatrixLibrary:
    """A cuBLAS handle on one stream. Raises BackendError E0850 when the library is not found."""

    def __init__(self, cupy: Any, stream: int) -> None:
        self._runtime = cupy.cuda.runtime
        self._library = _load(cupy)
        self._handle = ctypes.c_void_p()
        self._workspace = int(self._runtime.malloc(WORKSPACE_BYTES))
        self._call("cublasCreate_v2", ctypes.byref(self._handle))
        # Setting the stream resets the workspace: this order.
        self._call("cublasSetStream_v2", self._handle, ctypes.c_void_p(stream))
        self._call(
            "cublasSetWorkspace_v2",
            self._handle,
            ctypes.c_void_p(self._workspace),
            ctypes.c_size_t(WORKSPACE_BYTES),
        )
        self._call("cublasSetPointerMode_v2", self._handle, ctypes.c_int(_POINTER_MODE_DEVICE))

    def multiply(
        self, gemm: Gemm, rows: int, dtype: np.dtype[Any], pointers: Mapping[str, int]
    ) -> None:
        """Start a product of row-major matrices: to cuBLAS, which reads columns first, each is its
        transpose, and targetᵀ = weightᵀ sourceᵀ."""
        function = "cublasSgemm_v2" if dtype == np.float32 else "cublasDgemm_v2"
        width, depth = (gemm.m, gemm.n) if gemm.transposed else (gemm.n, gemm.m)
        address = {name: ctypes.c_void_p(value) for name, value in pointers.items()}
        self._call(
            function,
            self._handle,
            ctypes.c_int(_TRANSPOSED if gemm.transposed else _AS_IS),
            ctypes.c_int(_AS_IS),
            ctypes.c_int(width),
            ctypes.c_int(rows),
            ctypes.c_int(depth),
            address["alpha"],
            address["weight"],
            ctypes.c_int(gemm.n),
            address["source"],
            ctypes.c_int(gemm.source_stride),
            address["beta"],
            address["target"],
            ctypes.c_int(gemm.target_stride),
        )

    def _call(self, name: str, *args: Any) -> None:
        status = getattr(self._library, name)(*args)
        if status == _NO_MEMORY:
            raise OutOfMemory(f"{name} found too little")
        if status:
            raise DeviceFault(f"{name} returned status {status}", None)

    def close(self) -> None:
        """Release the handle and its workspace."""
        self._call("cublasDestroy_v2", self._handle)
        self._runtime.free(self._workspace)


def _load(cupy: Any) -> Any:
    """The library that CuPy uses: named by version, once CuPy's bindings have brought it in. No
    handle of CuPy's is asked for, since nobody could close it after a fault."""
    major = int(cupy.cuda.runtime.runtimeGetVersion()) // 1000
    name = f"cublas64_{major}.dll" if sys.platform == "win32" else f"libcublas.so.{major}"
    try:
        _ = cupy.cuda.cublas
        return ctypes.CDLL(name)
    except (ImportError, OSError) as error:
        raise BackendError(
            "E0850",
            f"the GPU backend cannot run here: {name} cannot be loaded ({first_line(error)})",
            "install netdsl[cuda12] or netdsl[cuda13] to fit the driver, or run with"
            " --backend numpy",
        ) from None
