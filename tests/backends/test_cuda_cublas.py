"""Calls of cuBLAS, on a library that does as its manual says; and CuPy's own names, where it is
installed (it can be imported without a GPU)."""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from netdsl.backends.cupy import cublas
from netdsl.backends.cupy.compiler import compiled
from netdsl.backends.cupy.cublas import MatrixLibrary
from netdsl.backends.cupy.shim import ShimDevice
from netdsl.codegen.cuda.plan import Gemm
from netdsl.codegen.cuda.program import generate
from tests.programs import PROGRAMS


class Library:
    """cuBLAS: matrices are stored by columns; setting the stream forgets the workspace."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Callable[..., int]:
        def call(*args: Any) -> int:
            self.calls.append(name)
            if name in ("cublasSgemm_v2", "cublasDgemm_v2"):
                real = ctypes.c_float if name == "cublasSgemm_v2" else ctypes.c_double
                _gemm(real, *(getattr(arg, "value", arg) for arg in args[1:]))
            return 0

        return call


def _gemm(
    real: Any, transa: int, transb: int, m: int, n: int, k: int, alpha: int, a: int, lda: int,
    b: int, ldb: int, beta: int, c: int, ldc: int,
) -> None:  # fmt: skip
    """C (m, n) = alpha op(A) (m, k) op(B) (k, n) + beta C, all by columns."""

    def matrix(address: int, rows: int, columns: int, lead: int) -> Any:
        assert lead >= rows
        flat = np.ctypeslib.as_array((real * (lead * (columns - 1) + rows)).from_address(address))
        return np.lib.stride_tricks.as_strided(
            flat, (rows, columns), (flat.itemsize, lead * flat.itemsize)
        )

    left = matrix(a, k, m, lda).T if transa else matrix(a, m, k, lda)
    right = matrix(b, n, k, ldb).T if transb else matrix(b, k, n, ldb)
    target = matrix(c, m, n, ldc)
    factor, keep = real.from_address(alpha).value, real.from_address(beta).value
    product = factor * (left @ right)
    target[...] = product if keep == 0 else product + keep * target


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    made = Library()
    monkeypatch.setattr(cublas, "_load", lambda cupy: made)
    return made


def fake_runtime() -> SimpleNamespace:
    runtime = SimpleNamespace(malloc=lambda size: 4096, free=lambda address: None)
    return SimpleNamespace(cuda=SimpleNamespace(runtime=runtime))


def test_the_workspace_is_given_after_the_stream(library: Library) -> None:
    MatrixLibrary(fake_runtime(), 5).close()
    assert library.calls == [
        "cublasCreate_v2", "cublasSetStream_v2", "cublasSetWorkspace_v2",
        "cublasSetPointerMode_v2", "cublasDestroy_v2",
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize("shape", [(5, 3), (1, 4), (4, 1)])
def test_products_are_those_of_row_major_matrices(
    library: Library, shape: tuple[int, int], transposed: bool, dtype: str
) -> None:
    m, n = shape
    into, out_of = (m, n) if transposed else (n, m)
    rng = np.random.default_rng(3)
    rows = 6
    weight = rng.normal(size=(m, n)).astype(dtype)
    source = rng.normal(size=(rows, out_of + 3)).astype(dtype)
    target = rng.normal(size=(rows, into + 2)).astype(dtype)
    scales = np.array([0.5, 1.0], dtype)
    gemm = Gemm("w", m, n, "s", 2, out_of + 3, "t", 1, into + 2, transposed, 0, 1)
    results = []
    for device in (ShimDevice(), MatrixLibrary(fake_runtime(), 5)):
        for beta in (0, 1):
            result = target.copy()
            size = scales.itemsize
            pointers = {
                "weight": weight.ctypes.data,
                "source": source.ctypes.data + 2 * size,
                "target": result.ctypes.data + size,
                "alpha": scales.ctypes.data,
                "beta": scales.ctypes.data + beta * size,
            }
            device.multiply(replace(gemm, beta=beta), rows, np.dtype(dtype), pointers)
            results.append(result)
    for expected, found in zip(results[:2], results[2:], strict=True):
        np.testing.assert_allclose(found, expected, 1e-5)
        np.testing.assert_array_equal(found[:, 0], target[:, 0])


RUNTIME = (
    "malloc", "free", "memGetInfo", "memsetAsync", "memcpyAsync", "memcpyHostToDevice",
    "memcpyDeviceToHost", "hostAlloc", "hostAllocMapped", "freeHost", "getDeviceCount",
    "getDeviceProperties", "runtimeGetVersion", "driverGetVersion", "CUDARuntimeError",
)  # fmt: skip


@pytest.mark.skipif(importlib.util.find_spec("cupy") is None, reason="CuPy is not installed")
def test_cupy_has_what_is_used() -> None:
    import cupy

    cuda = cupy.cuda
    assert not [name for name in RUNTIME if not hasattr(cuda.runtime, name)]
    assert cuda.driver.CU_FUNC_ATTRIBUTE_NUM_REGS == 4 and callable(cuda.driver.funcGetAttribute)
    assert issubclass(cuda.driver.CUDADriverError, RuntimeError)
    for kind, names in (
        (cuda.Module, "load get_function"),
        (cuda.Stream, "begin_capture end_capture synchronize wait_event __enter__ __exit__"),
        (cuda.Event, "record"),
        (cuda.Graph, "launch"),
        (cuda.Device, "compute_capability __enter__ __exit__"),
    ):
        assert not [name for name in names.split() if not hasattr(kind, name)]


@pytest.mark.skipif(importlib.util.find_spec("cupy") is None, reason="CuPy is not installed")
def test_cupys_nvrtc_compiles(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    import cupy

    monkeypatch.setenv("NETDSL_CACHE", str(tmp_path))
    try:
        cupy.cuda.nvrtc.getVersion()
    except Exception as error:
        pytest.skip(str(error))
    source = generate(PROGRAMS["three_factor"](), "float32").source
    assert compiled(cupy, source, 90)[:4] == b"\x7fELF"
    assert compiled(cupy, source, 90)[:4] == b"\x7fELF"  # from the cache
    assert b".target sm_" in compiled(cupy, source, 199)
