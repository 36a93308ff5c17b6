"""The part of CuPy that the backend uses, on the CPU: kernels of the host shim, memory of the host.

Work waits in the stream until something waits for it, and copies read their source only then, as a
device may. Work launched while the stream captures is recorded and done when the graph is launched;
whatever CUDA forbids under capture fails here too. After a fault every call fails, those that
destructors make too. `Fake.module` stands for the module `cupy`.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from netdsl.backends.cupy.branches import SIDES
from netdsl.backends.cupy.shim import ShimDevice
from netdsl.codegen.cuda.plan import Kernel, Launch

Work = Callable[[], object]
ILLEGAL_ADDRESS, NO_MEMORY, INVALID_DEVICE = 700, 2, 101


class CUDARuntimeError(RuntimeError):
    """As CuPy's."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class CUDADriverError(CUDARuntimeError):
    """As CuPy's."""


class NVRTCError(RuntimeError):
    """As CuPy's."""


class Destroyed:
    """An object whose destructor calls CUDA, as those of CuPy's streams, graphs and modules do."""

    def __init__(self, fake: Fake) -> None:
        self.fake = fake

    def __del__(self) -> None:
        self.fake.destroyed += 1
        self.fake.check()


class Queue(list["Work | Wait"]):
    """Work in order, and waits for work of other queues."""

    done = 0

    def take(self, until: int, out: list[Work]) -> None:
        """Put what has not been taken, up to a position, after what it waits for."""
        while self.done < until:
            item = self[self.done]
            self.done += 1
            if isinstance(item, Wait):
                item.queue.take(item.position, out)
            else:
                out.append(item)


@dataclass
class Wait:
    """For a queue's work up to a position."""

    queue: Queue
    position: int


class Event(Destroyed):
    """A position in a stream."""

    def __init__(self, fake: Fake) -> None:
        super().__init__(fake)
        self.queue, self.position = Queue(), 0
        self.capture: list[Stream] | None = None

    def record(self, stream: Stream) -> None:
        self.queue, self.position, self.capture = stream.queue, len(stream.queue), stream.capture


class Stream(Destroyed):
    """Keeps work in order, or records it. `capture`: the streams of the capture that it is in."""

    def __init__(self, fake: Fake) -> None:
        super().__init__(fake)
        self.ptr = 1 + len(fake.streams)
        self.queue = Queue()
        self.capture: list[Stream] | None = None

    def submit(self, work: Work) -> None:
        self.queue.append(work)

    def forbid(self, what: str) -> None:
        if self.capture is not None:
            raise CUDARuntimeError(900, f"cudaErrorStreamCaptureUnsupported: {what}")

    def wait_event(self, event: Event) -> None:
        if event.capture is not self.capture:
            # A stream that waits for one in a capture takes part in it from then on.
            assert self.capture is None and event.capture is not None, "isolation"
            self.join(event.capture)
        self.queue.append(Wait(event.queue, event.position))

    def join(self, capture: list[Stream]) -> None:
        capture.append(self)
        self.capture, self.kept, self.queue = capture, self.queue, Queue()

    def begin_capture(self) -> None:
        self.forbid("begin_capture")
        self.join([])

    def end_capture(self) -> Graph:
        capture, works = self.capture, list[Work]()
        assert capture and capture[0] is self
        self.queue.take(len(self.queue), works)
        joined = all(stream.queue.done == len(stream.queue) for stream in capture)
        for stream in capture:
            stream.capture, stream.queue = None, stream.kept
        if not joined:
            raise CUDARuntimeError(904, "cudaErrorStreamCaptureUnjoined")
        assert works
        self.fake.graphs.append(len(works))
        return Graph(self.fake, works)

    def synchronize(self) -> None:
        self.forbid("synchronize")
        works = list[Work]()
        self.queue.take(len(self.queue), works)
        self.queue = Queue()
        for work in works:
            if not self.fake.failed:
                work()
        self.fake.check()


class Graph(Destroyed):
    """Recorded work."""

    def __init__(self, fake: Fake, recorded: list[Work]) -> None:
        super().__init__(fake)
        self.recorded = recorded

    def launch(self, stream: Stream) -> None:
        stream.forbid("graph launch")
        self.fake.replays += 1
        for work in self.recorded:
            stream.submit(work)


class Module(Destroyed):
    """Loaded code, which is the source itself."""

    def load(self, code: bytes) -> None:
        self.fake.check()
        self.code = code.decode()

    def get_function(self, name: str) -> Function:
        return Function(self, name)


class Function:
    """A kernel that the host shim runs."""

    ptr = 7

    def __init__(self, module: Module, name: str) -> None:
        self.module, self.name = module, name
        self.device = ShimDevice(threads=8)
        self.device.load(module.code, [Kernel(name, name)])

    def __call__(
        self, grid: tuple[int, int], block: tuple[int], args: tuple[np.uint64], stream: Stream
    ) -> None:
        (net,) = args
        fixed = self.name.startswith("synapse_tiles")
        launch = Launch(self.name, 0, block[0], fixed_threads=fixed)
        fake = self.module.fake
        stream.submit(lambda: fake.run(self.device, launch, grid, int(net)))


class Device:
    """A device number."""

    compute_capability = "90"

    def __init__(self, fake: Fake, number: int) -> None:
        self.fake, self.number = fake, number

    def __enter__(self) -> Device:
        if self.number > 0:
            raise CUDARuntimeError(INVALID_DEVICE, "cudaErrorInvalidDevice: invalid device ordinal")
        return self

    def __exit__(self, *_: object) -> None:
        pass


class Nvrtc:
    """A compiler that returns the source; `broken` source does not compile."""

    NVRTCError = NVRTCError
    broken = False

    def __init__(self) -> None:
        self.source, self.options, self.count = "", tuple[str, ...](), 0

    def getVersion(self) -> tuple[int, int]:
        return 13, 0

    def getSupportedArchs(self) -> tuple[int, ...]:
        return 75, 80, 90

    def createProgram(self, source: str, name: str, headers: tuple, include: tuple) -> int:  # type: ignore[type-arg]
        self.source = source
        return 1

    def compileProgram(self, program: int, options: tuple[str, ...]) -> None:
        self.options, self.count = options, self.count + 1
        if self.broken:
            raise NVRTCError("NVRTC_ERROR_COMPILATION (6)")

    def getProgramLog(self, program: int) -> str:
        return "net.cu(7): error: expected a ;"

    def getCUBIN(self, program: int) -> bytes:
        return self.source.encode()

    getPTX = getCUBIN

    def destroyProgram(self, program: int) -> None:
        pass


class Fake:
    """State of the pretended device. `free`: bytes; `failing`: a kernel whose name starts so
    makes everything after its launch number `passes` fail."""

    def __init__(self, free: int = 1 << 30) -> None:
        self.free, self.failing, self.passes, self.refuse = free, "", 0, False
        self.failed = False
        self.graphs: list[int] = []
        self.replays = self.launched = self.destroyed = 0
        self.memory: dict[int, Any] = {}
        self.streams: list[Stream] = []
        self.nvrtc = Nvrtc()
        runtime = SimpleNamespace(
            CUDARuntimeError=CUDARuntimeError, hostAllocMapped=2, memcpyHostToDevice=1,
            memcpyDeviceToHost=2, getDeviceCount=lambda: 1, runtimeGetVersion=lambda: 13000,
            getDeviceProperties=lambda number: {"name": b"Pretended"},
            hostAlloc=lambda size, flags: self._malloc(size), freeHost=self._free,
            malloc=self._malloc_device, free=self._free, memGetInfo=lambda: (self.free, self.free),
            memsetAsync=self._memset, memcpyAsync=self._memcpy,
        )  # fmt: skip
        driver = SimpleNamespace(
            CUDADriverError=CUDADriverError, CU_FUNC_ATTRIBUTE_NUM_REGS=4,
            funcGetAttribute=lambda attribute, function: 32,
        )  # fmt: skip
        cuda = SimpleNamespace(
            runtime=runtime, driver=driver, nvrtc=self.nvrtc, Module=lambda: Module(self),
            Device=lambda number: Device(self, number), Stream=self._stream,
            Event=lambda disable_timing: Event(self),
        )  # fmt: skip
        self.module = SimpleNamespace(cuda=cuda)

    def check(self) -> None:
        """Fail as every call does after a fault."""
        if self.failed:
            raise CUDARuntimeError(
                ILLEGAL_ADDRESS, "cudaErrorIllegalAddress: an illegal memory access"
            )

    def stream(self, number: int) -> Stream:
        """The stream of a handle."""
        return self.streams[number - 1]

    @property
    def main(self) -> Stream:
        """The stream that the device made before those of its branches."""
        return self.streams[-1 - SIDES]

    def _stream(self, non_blocking: bool) -> Stream:
        self.check()
        self.streams.append(Stream(self))
        return self.streams[-1]

    def _malloc(self, size: int) -> int:
        self.check()
        for stream in self.streams:
            stream.forbid("malloc")
        block = (ctypes.c_char * max(size, 1))()
        self.memory[ctypes.addressof(block)] = block
        return ctypes.addressof(block)

    def _malloc_device(self, size: int) -> int:
        if self.refuse:
            raise CUDARuntimeError(NO_MEMORY, "cudaErrorMemoryAllocation: out of memory")
        return self._malloc(size)

    def _free(self, address: int) -> None:
        self.check()
        del self.memory[address]

    def _memset(self, address: int, value: int, size: int, stream: int) -> None:
        self.stream(stream).submit(lambda: ctypes.memset(address, value, size))

    def _memcpy(self, target: int, source: int, size: int, kind: int, stream: int) -> None:
        self.stream(stream).forbid("memcpy that a replay would repeat")
        self.check()
        self.stream(stream).submit(lambda: ctypes.memmove(target, source, size))

    def run(self, device: ShimDevice, launch: Launch, grid: tuple[int, int], net: int) -> None:
        """A kernel's turn."""
        self.launched += 1
        device.launch(launch, grid, net)
        if self.failing and launch.kernel.startswith(self.failing):
            self.passes -= 1
            self.failed = self.passes < 0


class FakeBlas:
    """Matrix products of NumPy in place of cuBLAS."""

    def __init__(self, cupy: Any, stream: int) -> None:
        self.stream: Stream = cupy.cuda.Device(0).fake.stream(stream)
        self.stream.forbid("creating a handle")

    def multiply(self, *args: Any) -> None:
        self.stream.submit(lambda: ShimDevice().multiply(*args))

    def close(self) -> None:
        pass
