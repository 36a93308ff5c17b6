"""Streams on which independent kernels run beside each other, also in a captured graph."""

from __future__ import annotations

from typing import Any

# More than this many kernels at a time would only wait for each other's memory traffic.
SIDES = 4


class Branches:
    """A main stream and some beside it. A branch begins where the main stream is when the first
    of several is opened; the main stream goes on when all of them have ended."""

    def __init__(self, cuda: Any, main: Any) -> None:
        self.main = self.current = main
        self._sides = [cuda.Stream(non_blocking=True) for _ in range(SIDES)]
        self._opened = cuda.Event(disable_timing=True)
        self._ended = [cuda.Event(disable_timing=True) for _ in range(SIDES)]
        self._open: list[int] = []  # in a capture all must end in the main stream

    def go_to(self, number: int) -> None:
        """Branch `number` from 1 on, or the main stream when all have ended (0)."""
        if number == 0:
            for side in self._open:
                self._ended[side].record(self._sides[side])
                self.main.wait_event(self._ended[side])
            self._open, self.current = [], self.main
            return
        if not self._open:
            self._opened.record(self.main)
        side = (number - 1) % SIDES
        if side not in self._open:
            self._sides[side].wait_event(self._opened)
            self._open.append(side)
        self.current = self._sides[side]

    def forget(self) -> None:
        """Back to the main stream after a failure."""
        self._open, self.current = [], self.main
