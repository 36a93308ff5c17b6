"""A compiler of CUDA source that needs no GPU: NVRTC from its wheel or a toolkit, else nvcc."""

from __future__ import annotations

import ctypes
import ctypes.util
import importlib.util
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from netdsl.backends.cupy.compiler import COMPILE_OPTIONS


class CompileError(Exception):
    """What the compiler said."""


def missing() -> str:
    """Why nothing can be compiled here; "" when it can."""
    if nvrtc() is not None or shutil.which("nvcc"):
        return ""
    return "neither NVRTC (pip install nvidia-cuda-nvrtc) nor nvcc was found"


@cache
def nvrtc() -> ctypes.CDLL | None:
    """The NVRTC library, or None."""
    names = [ctypes.util.find_library("nvrtc") or ""]
    package = importlib.util.find_spec("nvidia")
    for folder in package.submodule_search_locations or () if package else ():
        names += [str(path) for path in sorted(Path(folder).glob("**/libnvrtc.so.*[0-9]"))]
    for name in filter(None, names):
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


def compile_source(source: str, architecture: str) -> int:
    """Size of the machine code for "sm_90" and its like, of PTX for "compute_80". CompileError."""
    library = nvrtc()
    if library is None:
        return _with_nvcc(source, architecture)
    program = ctypes.c_void_p()
    library.nvrtcCreateProgram(ctypes.byref(program), source.encode(), b"net.cu", 0, None, None)
    options = [f"--gpu-architecture={architecture}", *COMPILE_OPTIONS]
    given = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
    status = library.nvrtcCompileProgram(program, len(options), given)
    try:
        size = ctypes.c_size_t()
        if status:
            library.nvrtcGetProgramLogSize(program, ctypes.byref(size))
            log = ctypes.create_string_buffer(size.value)
            library.nvrtcGetProgramLog(program, log)
            raise CompileError(log.value.decode())
        machine = architecture.startswith("sm_")
        get_size = library.nvrtcGetCUBINSize if machine else library.nvrtcGetPTXSize
        get_size(program, ctypes.byref(size))
        return size.value
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def _with_nvcc(source: str, architecture: str) -> int:
    with tempfile.TemporaryDirectory() as folder:
        text, cubin = Path(folder, "net.cu"), Path(folder, "net.cubin")
        text.write_text(source)
        kind = "-cubin" if architecture.startswith("sm_") else "-ptx"
        command = ["nvcc", kind, f"-arch={architecture}", *COMPILE_OPTIONS]
        done = subprocess.run(
            [*command, "-o", str(cubin), str(text)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise CompileError(done.stderr)
        return cubin.stat().st_size
