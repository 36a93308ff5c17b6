"""The CuPy backend: generated CUDA on an NVIDIA GPU, and the same source on the CPU for tests."""

from netdsl.backends.cupy.device import available
from netdsl.backends.cupy.executor import CupyExecutor

__all__ = ["CupyExecutor", "available"]
