"""A matrix product for generated code: NumPy's own BLAS, else SciPy's, else none.

Generated code calls Fortran's `sgemm`/`dgemm` through a pointer, so that it accumulates in place
and never returns to Python inside a phase.
"""

from __future__ import annotations

import ctypes
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

# NumPy's wheels carry OpenBLAS with prefixed names; "_64_" ones take 64-bit integers.
_SYMBOLS = (
    ("scipy_{}_64_", 64),
    ("scipy_{}_", 32),
    ("{}_64_", 64),
    ("{}_", 32),
)
_THREADS = (
    "scipy_openblas_{}_num_threads64_",
    "scipy_openblas_{}_num_threads",
    "openblas_{}_num_threads",
)


@dataclass(frozen=True)
class Blas:
    """Where `gemm` is (address, 0: none), its integers' size, and a setter of threads."""

    name: str
    single: int = 0
    double: int = 0
    int_bits: int = 32
    get_threads: Callable[[], int] | None = None
    set_threads: Callable[[int], None] | None = None

    def gemm(self, real: str) -> int:
        """Address of the product for "float" or "double"."""
        return self.single if real == "float" else self.double

    def one_thread(self) -> int:
        """Let products use one thread; how many they used, for `threads`, or 0."""
        before = 0 if self.get_threads is None else self.get_threads()
        if before > 1:
            self.threads(1)
        return before

    def threads(self, count: int) -> None:
        """Let products use so many threads."""
        if count and self.set_threads is not None:
            self.set_threads(count)


@cache
def load() -> Blas:
    """The BLAS of this process, found once."""
    for path in _numpy_libraries():
        found = _from_library(path)
        if found is not None:
            return found
    return _from_scipy() or Blas("plain loops")


def _numpy_libraries() -> list[Path]:
    spec = importlib.util.find_spec("numpy")
    if spec is None or spec.origin is None:
        return []
    package = Path(spec.origin).parent
    folders = (package.parent / "numpy.libs", package / ".dylibs")
    return [path for folder in folders for path in sorted(folder.glob("*openblas*"))]


def _from_library(path: Path) -> Blas | None:
    try:
        library = ctypes.CDLL(str(path))
    except OSError:
        return None
    for pattern, bits in _SYMBOLS:
        single, double = (_address(library, pattern.format(name)) for name in ("sgemm", "dgemm"))
        if single and double:
            get, put = _thread_functions(library)
            return Blas(f"NumPy's BLAS ({path.name})", single, double, bits, get, put)
    return None


def _address(library: ctypes.CDLL, name: str) -> int:
    try:
        return ctypes.cast(getattr(library, name), ctypes.c_void_p).value or 0
    except AttributeError:
        return 0


def _thread_functions(library: ctypes.CDLL) -> tuple[Any, Any]:
    for pattern in _THREADS:
        try:
            get = getattr(library, pattern.format("get"))
            put = getattr(library, pattern.format("set"))
        except AttributeError:
            continue
        get.restype, get.argtypes = ctypes.c_int, ()
        put.restype, put.argtypes = None, (ctypes.c_int,)
        return get, put
    return None, None


def _from_scipy() -> Blas | None:
    try:
        from scipy.linalg import cython_blas
    except ImportError:
        return None
    capsules = cython_blas.__pyx_capi__
    single, double = (_pointer(capsules[name]) for name in ("sgemm", "dgemm"))
    get, put = _pool_functions()
    return Blas("SciPy's BLAS", single, double, 32, get, put)


def _pointer(capsule: object) -> int:
    api = ctypes.pythonapi
    api.PyCapsule_GetName.restype, api.PyCapsule_GetName.argtypes = (
        ctypes.c_char_p,
        (ctypes.py_object,),
    )
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = (ctypes.py_object, ctypes.c_char_p)
    return int(api.PyCapsule_GetPointer(capsule, api.PyCapsule_GetName(capsule)) or 0)


def _pool_functions() -> tuple[Any, Any]:
    """SciPy's BLAS by its pool of threads: the one among the loaded ones that is not NumPy's."""
    try:
        from threadpoolctl import ThreadpoolController
    except ImportError:
        return None, None
    pools = [c for c in ThreadpoolController().lib_controllers if c.user_api == "blas"]
    if not pools:
        return None, None
    pool = next((c for c in pools if "scipy" in str(c.filepath)), pools[0])
    return pool.get_num_threads, pool.set_num_threads
