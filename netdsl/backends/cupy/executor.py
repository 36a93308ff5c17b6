"""The executor of the CuPy backend."""

from __future__ import annotations

from collections.abc import Mapping

from netdsl.backends.base import Array
from netdsl.backends.cupy.device import CupyDevice
from netdsl.backends.cupy.launcher import DeviceFault, GpuExecutor
from netdsl.codegen.errors import BackendError
from netdsl.ir.program import Program


class CupyExecutor(GpuExecutor):
    """Runs a program on GPU number `device`; see `Executor` and `GpuExecutor`.

    Raises BackendError E0850 when CuPy, a driver or a GPU is missing.
    """

    name = "cupy"

    def __init__(
        self,
        program: Program,
        initial: Mapping[str, Array],
        *,
        rows: int,
        dtype: str = "float32",
        seed: int = 0,
        strategy: str = "auto",
        device: int = 0,
    ) -> None:
        try:
            gpu = CupyDevice(device)
        except DeviceFault as fault:  # no such number, or another program keeps it to itself
            raise BackendError(
                "E0850",
                f"the GPU backend cannot run here: GPU {device} cannot be used: {fault.text}",
                "see nvidia-smi for what is there and who uses it, or run with --backend numpy",
            ) from None
        try:
            super().__init__(
                program, initial, gpu, rows=rows, dtype=dtype, seed=seed, strategy=strategy
            )
        except BaseException:
            gpu.close()
            raise
