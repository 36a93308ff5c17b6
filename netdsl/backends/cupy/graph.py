"""CUDA graphs: what a section launches is captured once and replayed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

# Steps in one long graph: launching a graph costs some microseconds, whatever is in it.
UNROLL = 10
_KEPT = 64  # sections whose graphs are kept; the one unused for longest goes first


class Graphs:
    """Graphs by section. Not captured is a section's first run, in which libraries set up."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._made: OrderedDict[object, dict[int, Any]] = OrderedDict()

    def run(self, key: object, run: Callable[[], None], count: int) -> None:
        """Do what `run()` launches `count` times, in order; `run` launches into the stream."""
        if key not in self._made:
            self._made[key] = {}
            while len(self._made) > _KEPT:
                self._made.popitem(last=False)
            run()
            count -= 1
        self._made.move_to_end(key)
        graphs = self._made[key]
        for steps in (UNROLL, 1):
            times, count = divmod(count, steps)
            if times and steps not in graphs:
                graphs[steps] = self._capture(run, steps)
            for _ in range(times):
                graphs[steps].launch(self._stream)

    def _capture(self, run: Callable[[], None], steps: int) -> Any:
        self._stream.begin_capture()
        try:
            for _ in range(steps):
                run()
        except BaseException:
            _abandon(self._stream)
            raise
        return self._stream.end_capture()

    def clear(self) -> None:
        """Forget all graphs."""
        self._made.clear()


def _abandon(stream: Any) -> None:
    """End a capture that failed; what it holds is of no use, nor is a second error."""
    try:
        stream.end_capture()
    except Exception:  # the first error is the one to report
        return
