"""Generated CUDA to machine code by the NVRTC that CuPy finds, kept in the cache folder.

CuPy's own RawModule compiles with -ftz=true, under which float32 numbers below 1e-38 are 0 on the
device and not on the CPU: decaying traces would differ. Here every option is said.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from netdsl.backends.native import cache
from netdsl.codegen.errors import BackendError
from netdsl.diagnostics.waiting import slow

# a * b + c is rounded twice, and nothing is approximated, as on the CPU, so that thresholds are
# crossed in the same step.
COMPILE_OPTIONS = (
    "--std=c++17",
    "--fmad=false",
    "--ftz=false",
    "--prec-div=true",
    "--prec-sqrt=true",
)
_SUFFIX = ".cubin"
_CUDA = (
    "install the CUDA libraries with pip install 'netdsl[cuda12]' or 'netdsl[cuda13]', as the"
    " driver asks; or run with --backend numpy"
)


def compiled(cupy: Any, source: str, capability: int) -> bytes:
    """Code for a device of a compute capability (90 is 9.0). Raises BackendError E0850 without
    NVRTC or when it serves no such device, E0854 when it refuses the source."""
    nvrtc = cupy.cuda.nvrtc
    try:
        version, served = nvrtc.getVersion(), nvrtc.getSupportedArchs()
    except Exception as error:  # what CuPy raises for a missing library differs between them
        raise BackendError(
            "E0850",
            f"the GPU backend cannot run here: NVRTC is missing ({first_line(error)})",
            _CUDA,
        ) from None
    target = architecture(capability, served)
    key = cache.key_of("cuda", source, " ".join(COMPILE_OPTIONS), target, str(version))
    found = cache.find(key, _SUFFIX)
    if found is not None:
        return found.read_bytes()
    with slow("compiling with NVRTC"):
        code = _compile(nvrtc, source, target)
    _keep(key, source, code)
    return code


def architecture(capability: int, served: Sequence[int]) -> str:
    """NVRTC's name of what to compile for: machine code, or for a device that it does not know yet
    the newest intermediate code, which the driver translates. Raises BackendError E0850."""
    if capability in served:
        return f"sm_{capability}"
    older = [known for known in served if known < capability]
    if not older:
        raise BackendError(
            "E0850",
            f"the GPU backend cannot run here: this CUDA serves GPUs of compute capability"
            f" {min(served) / 10} and above, not {capability / 10}",
            "install netdsl[cuda12], which serves older GPUs, or run with --backend numpy",
        )
    return f"compute_{max(older)}"


def _compile(nvrtc: Any, source: str, target: str) -> bytes:
    program = nvrtc.createProgram(source, "net.cu", (), ())
    try:
        nvrtc.compileProgram(program, (*COMPILE_OPTIONS, f"--gpu-architecture={target}"))
        get = nvrtc.getCUBIN if target.startswith("sm_") else nvrtc.getPTX
        return bytes(get(program))
    except nvrtc.NVRTCError:
        raise BackendError(
            "E0854",
            f"the CUDA compiler failed on the generated source:\n"
            f"{nvrtc.getProgramLog(program)[:2000]}",
            "run with --backend numpy, and report this",
        ) from None
    finally:
        nvrtc.destroyProgram(program)


def _keep(key: str, source: str, code: bytes) -> None:
    """Put code into the cache; where there is no room for it the next process compiles again."""
    try:
        path, reason = cache.build(key, source, lambda _, made: _write(made, code), _SUFFIX)
    except BackendError:
        return
    if reason:
        shutil.rmtree(path.parent, ignore_errors=True)


def _write(path: Path, code: bytes) -> None:
    path.write_bytes(code)


def first_line(error: BaseException) -> str:
    """What an exception says, on one line."""
    return (str(error).splitlines() or [type(error).__name__])[0]
