"""Copies to the device through page-locked memory, so that the caller's array is free at once.

A copy from ordinary memory may be read by the device later, where it can reach that memory, or
hold up the host, where it cannot.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy.typing as npt

STAGING_BYTES = 16 << 20
_ALIGNMENT = 64


class Staging:
    """A block of page-locked memory that uploads are copied to; it is reused from the start when
    the stream has read all of it."""

    def __init__(self, runtime: Any, stream: Any, nbytes: int = STAGING_BYTES) -> None:
        self._runtime, self._stream, self._size = runtime, stream, nbytes
        self._address = int(runtime.hostAlloc(nbytes, 0))
        self._used = 0

    def upload(self, address: int, data: npt.NDArray[Any]) -> None:
        """Start copying a contiguous array to the device."""
        source, left = data.ctypes.data, data.nbytes
        while left:
            part = min(left, self._size)
            if self._used + part > self._size:
                self._stream.synchronize()
                self.rewind()
            here = self._address + self._used
            ctypes.memmove(here, source, part)
            kind = self._runtime.memcpyHostToDevice
            self._runtime.memcpyAsync(address, here, part, kind, self._stream.ptr)
            self._used += -(-part // _ALIGNMENT) * _ALIGNMENT
            source, address, left = source + part, address + part, left - part

    def rewind(self) -> None:
        """The stream has done all that was asked of it."""
        self._used = 0

    def close(self) -> None:
        """Give the memory back."""
        self._runtime.freeHost(self._address)
