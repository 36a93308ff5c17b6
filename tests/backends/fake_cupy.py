"""The part of CuPy that the backend uses, on the CPU: kernels of the host shim, memory of the host.

Work launched while a stream captures is recorded and done when the graph is launched; whatever CUDA
forbids under capture fails here too. `Fake.module` stands for the module `cupy`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

from netdsl.backends.cupy.shim import ShimDevice
from netdsl.codegen.cuda_plan import Kernel, Launch


class CUDARuntimeError(RuntimeError):
    """As CuPy's."""


class CompileException(Exception):
    """As CuPy's."""


class Stream:
    """Does work at once, or records it."""

    def __init__(self, fake: Fake) -> None:
        self.fake, self.ptr = fake, 1
        self.recorded: list[Callable[[], None]] | None = None

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, work: Callable[[], None]) -> None:
        if self.recorded is None:
            work()
        else:
            self.recorded.append(work)

    def forbid(self, what: str) -> None:
        if self.recorded is not None:
            raise CUDARuntimeError(f"cudaErrorStreamCaptureUnsupported: {what}")

    def begin_capture(self) -> None:
        self.forbid("begin_capture")
        self.recorded = []

    def end_capture(self) -> SimpleNamespace:
        recorded, self.recorded = self.recorded, None
        assert recorded
        self.fake.graphs.append(len(recorded))

        def launch(stream: Stream) -> None:
            self.forbid("graph launch")
            self.fake.replays += 1
            for work in recorded:
                work()

        return SimpleNamespace(launch=launch)

    def synchronize(self) -> None:
        self.forbid("synchronize")
        self.fake.check()


class Fake:
    """State of the pretended device. `free`: bytes; `failing`: a kernel whose name starts so
    makes every later synchronisation fail; `broken` source does not compile."""

    def __init__(self, free: int = 1 << 30) -> None:
        self.free, self.failing, self.broken, self.refuse = free, "", False, False
        self.failed = False
        self.graphs: list[int] = []
        self.replays = self.launched = 0
        self.memory: dict[int, Any] = {}
        self.stream = Stream(self)
        self.shim = ShimDevice(threads=8)
        runtime = SimpleNamespace(
            CUDARuntimeError=CUDARuntimeError, hostAllocMapped=2, memcpyHostToDevice=1,
            memcpyDeviceToHost=2, getDeviceCount=lambda: 1, runtimeGetVersion=lambda: 13000,
            getDeviceProperties=lambda number: {"name": b"Pretended"},
            hostAlloc=lambda size, flags: self._malloc(size), freeHost=self._free,
            malloc=self._malloc_device, free=self._free, memGetInfo=lambda: (self.free, self.free),
            memsetAsync=self._memset, memcpyAsync=self._memcpy,
        )
        cuda = SimpleNamespace(
            runtime=runtime, driver=SimpleNamespace(CUDADriverError=CUDARuntimeError),
            compiler=SimpleNamespace(CompileException=CompileException),
            Device=lambda number: self.stream, Stream=lambda non_blocking: self.stream,
        )
        self.module = SimpleNamespace(cuda=cuda, RawModule=self._compile)

    def check(self) -> None:
        """Fail as every call does after a fault."""
        if self.failed:
            raise CUDARuntimeError("cudaErrorIllegalAddress: an illegal memory access")

    def _malloc(self, size: int) -> int:
        self.stream.forbid("malloc")
        block = (ctypes.c_char * max(size, 1))()
        self.memory[ctypes.addressof(block)] = block
        return ctypes.addressof(block)

    def _malloc_device(self, size: int) -> int:
        if self.refuse:
            raise CUDARuntimeError("cudaErrorMemoryAllocation: out of memory")
        return self._malloc(size)

    def _free(self, address: int) -> None:
        self.check()
        del self.memory[address]

    def _memset(self, address: int, value: int, size: int, stream: int) -> None:
        self.stream.submit(lambda: ctypes.memset(address, value, size))  # type: ignore[arg-type]

    def _memcpy(self, target: int, source: int, size: int, kind: int, stream: int) -> None:
        self.stream.forbid("memcpy of pageable memory")
        self.check()
        ctypes.memmove(target, source, size)

    def _compile(self, code: str, options: tuple[str, ...], backend: str) -> SimpleNamespace:
        assert options == ("--fmad=false",) and backend == "nvrtc"
        if self.broken:
            raise CompileException("net.cu(7): error: expected a ;")
        return SimpleNamespace(get_function=lambda name: self._function(code, name))

    def _function(self, code: str, name: str) -> Callable[..., None]:
        device = ShimDevice(threads=8)
        device.load(code, [Kernel(name, name)])

        def launch(grid: tuple[int, int], block: tuple[int], args: tuple[np.uint64]) -> None:
            (net,) = args
            fixed = name.startswith("synapse_tiles")
            made = Launch(name, 0, block[0], fixed_threads=fixed)
            self.stream.submit(lambda: self._run(device, made, grid, int(net)))

        launch.num_regs = 32  # type: ignore[attr-defined]
        return launch

    def _run(self, device: ShimDevice, launch: Launch, grid: tuple[int, int], net: int) -> None:
        self.launched += 1
        if not self.failed:
            device.launch(launch, grid, net)
        self.failed |= bool(self.failing) and launch.kernel.startswith(self.failing)


class FakeBlas:
    """Matrix products of NumPy in place of cuBLAS."""

    def __init__(self, cupy: Any, stream: int) -> None:
        self.stream: Stream = cupy.cuda.Stream(non_blocking=True)
        self.stream.forbid("creating a handle")

    def multiply(self, *args: Any) -> None:
        self.stream.submit(lambda: ShimDevice().multiply(*args))

    def close(self) -> None:
        pass
